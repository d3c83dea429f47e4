//! The modules of one target, read from its root file, and which file a path leads to.

use crate::imports::{Items, Segments};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use syn::Item;

/// A path through more names than this leads round in a circle.
const STEPS_MAX: u32 = 16;

struct Module {
    file: PathBuf,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    items: Items,
}

/// All modules of a target; the first is its root.
pub(crate) struct Modules(Vec<Module>);

impl Modules {
    /// Reads the files that begin with this one.
    pub(crate) fn read(root: &Path) -> Self {
        let mut modules = Self(Vec::new());
        let folder = root.parent().unwrap();
        modules.add(root, folder, None, parse(root));
        modules
    }

    /// Adds a module and what is in it; the files of its children are in this folder.
    fn add(
        &mut self,
        file: &Path,
        folder: &Path,
        parent: Option<usize>,
        items: Vec<Item>,
    ) -> usize {
        let mut items = Items::read(items);
        let declared = std::mem::take(&mut items.modules);
        let this = self.0.len();
        self.0.push(Module { file: file.to_owned(), parent, children: BTreeMap::new(), items });
        for (name, inline) in declared {
            let below = folder.join(&name);
            let child = match inline {
                Some(items) => self.add(file, &below, Some(this), items),
                None => {
                    let beside = folder.join(format!("{name}.rs"));
                    let child = if beside.is_file() { beside } else { below.join("mod.rs") };
                    let items = parse(&child);
                    self.add(&child, &below, Some(this), items)
                }
            };
            self.0[this].children.insert(name, child);
        }
        this
    }

    /// The files that each file needs, by what; a child may need its parents, and what a parent only
    /// hands on it does not need.
    pub(crate) fn edges(&self) -> Vec<(&Path, &Path, String)> {
        let mut edges = Vec::new();
        for (from, module) in self.0.iter().enumerate() {
            let handed_on = module.items.handed_on.iter().map(|path| (path, true));
            for (path, is_handed_on) in
                module.items.needed.iter().map(|it| (it, false)).chain(handed_on)
            {
                let Some(to) = self.resolve(from, path, STEPS_MAX) else { continue };
                let is_upwards = self.is_below(from, to);
                let is_only_shown = is_handed_on && self.is_below(to, from);
                if self.0[to].file != module.file && !is_upwards && !is_only_shown {
                    edges.push((&*module.file, &*self.0[to].file, path.join("::")));
                }
            }
        }
        edges
    }

    fn is_below(&self, module: usize, above: usize) -> bool {
        let mut parents = std::iter::successors(Some(module), |at| self.0[*at].parent);
        parents.any(|parent| parent == above)
    }

    /// The module that defines what this path names; nothing for another crate's.
    fn resolve(&self, from: usize, path: &[String], steps: u32) -> Option<usize> {
        let mut at = match path.first()?.as_str() {
            "crate" => 0,
            "self" | "super" => from,
            _ => return self.find(from, path, steps),
        };
        let mut rest = path;
        while let Some((first @ ("crate" | "self" | "super"), after)) =
            rest.split_first().map(|(first, after)| (first.as_str(), after))
        {
            if first == "super" {
                at = self.0[at].parent?;
            }
            rest = after;
        }
        // What a macro defines is not found, and is there.
        Some(self.find(at, rest, steps).unwrap_or(at))
    }

    /// The module that defines this name of the module `at`, and what follows it.
    fn find(&self, at: usize, path: &[String], steps: u32) -> Option<usize> {
        let module = &self.0[at];
        let Some((name, rest)) = path.split_first() else { return Some(at) };
        let steps = steps.checked_sub(1)?;
        if let Some(child) = module.children.get(name) {
            return Some(self.find(*child, rest, steps).unwrap_or(*child));
        }
        if let Some(alias) =
            module.items.aliases.get(name).filter(|alias| **alias != [name.clone()])
        {
            let whole: Segments = alias.iter().chain(rest).cloned().collect();
            return self.resolve(at, &whole, steps);
        }
        if module.items.defined.contains(name) {
            return Some(at);
        }
        let globs = module.items.globs.iter().filter_map(|glob| self.resolve(at, glob, steps));
        { globs }.find_map(|glob| if glob == at { None } else { self.find(glob, path, steps) })
    }
}

fn parse(file: &Path) -> Vec<Item> {
    let text = std::fs::read_to_string(file);
    let text = text.unwrap_or_else(|error| panic!("reading {}: {error}", file.display()));
    let parsed = syn::parse_file(&text);
    parsed.unwrap_or_else(|error| panic!("parsing {}: {error}", file.display())).items
}
