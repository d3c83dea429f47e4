//! What one file of Rust refers to: the paths in its `use` items, types and expressions.

use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, UseTree, Visibility};

/// A path by its segments.
pub(crate) type Segments = Vec<String>;

/// What the items of one module say.
#[derive(Default)]
pub(crate) struct Items {
    /// Names that `use` brings, with their whole paths.
    pub(crate) aliases: BTreeMap<String, Segments>,
    /// Modules whose every public name is brought.
    pub(crate) globs: Vec<Segments>,
    /// Names that are defined here.
    pub(crate) defined: BTreeSet<String>,
    /// Paths that are needed here.
    pub(crate) needed: BTreeSet<Segments>,
    /// Paths that are only handed on, by `pub use`.
    pub(crate) handed_on: BTreeSet<Segments>,
    /// Modules declared here, with their items where they are not in a file of their own.
    pub(crate) modules: Vec<(String, Option<Vec<Item>>)>,
}

impl Items {
    pub(crate) fn read(items: Vec<Item>) -> Self {
        let mut read = Self::default();
        for item in items {
            read.item(item);
        }
        read
    }

    fn item(&mut self, item: Item) {
        if is_test(attributes(&item)) {
            return;
        }
        match item {
            Item::Mod(module) => {
                self.modules.push((module.ident.to_string(), module.content.map(|it| it.1)));
            }
            Item::Use(item) => self.use_item(&item),
            item => {
                self.defined.extend(name(&item));
                self.visit_item(&item);
            }
        }
    }

    fn use_item(&mut self, item: &ItemUse) {
        let mut paths = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut paths);
        let is_private = matches!(item.vis, Visibility::Inherited);
        for (path, alias) in paths {
            match alias {
                Some(alias) => drop(self.aliases.insert(alias, path.clone())),
                None => self.globs.push(path.clone()),
            }
            let list = if is_private { &mut self.needed } else { &mut self.handed_on };
            list.insert(path);
        }
    }
}

/// What is only compiled for tests is no part of the file's way of working.
impl<'ast> Visit<'ast> for Items {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.use_item(item);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.needed.insert(path.segments.iter().map(|it| it.ident.to_string()).collect());
        visit::visit_path(self, path);
    }
}

/// The paths of a `use`, each with the name that it brings, or none for all names.
fn flatten(tree: &UseTree, before: &mut Segments, paths: &mut Vec<(Segments, Option<String>)>) {
    let with = |last: &syn::Ident| [&before[..], &[last.to_string()]].concat();
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, paths);
            before.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, before, paths);
            }
        }
        UseTree::Name(name) if name.ident == "self" => {
            paths.push((before.clone(), before.last().cloned()));
        }
        UseTree::Name(name) => paths.push((with(&name.ident), Some(name.ident.to_string()))),
        UseTree::Rename(name) => paths.push((with(&name.ident), Some(name.rename.to_string()))),
        UseTree::Glob(_) => paths.push((before.clone(), None)),
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg = attribute.path().is_ident("cfg");
        let is_so = |list: &syn::MetaList| list.tokens.to_string().contains("test");
        is_cfg && attribute.meta.require_list().is_ok_and(is_so)
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

fn name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(it) => &it.ident,
        Item::Enum(it) => &it.ident,
        Item::Fn(it) => &it.sig.ident,
        Item::Macro(it) => it.ident.as_ref()?,
        Item::Static(it) => &it.ident,
        Item::Struct(it) => &it.ident,
        Item::Trait(it) => &it.ident,
        Item::Type(it) => &it.ident,
        _ => return None,
    };
    Some(name.to_string())
}
