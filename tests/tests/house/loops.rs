//! No files that import each other in a loop.

use crate::edges::target_roots;
use crate::files::shown;
use crate::modules::Modules;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// For each file the files that it needs, each with one of the paths by which it does.
type Needs = BTreeMap<String, BTreeMap<String, String>>;

fn needs() -> Needs {
    let mut needs = Needs::new();
    for root in target_roots() {
        for (from, to, path) in Modules::read(Path::new(&root)).edges() {
            needs.entry(shown(from)).or_default().insert(shown(to), path);
        }
    }
    needs
}

/// The files that can be reached from this one.
fn reachable<'a>(needs: &'a Needs, from: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        let found = needs.get(file).into_iter().flat_map(BTreeMap::keys).map(String::as_str);
        next.extend(found.filter(|found| reached.insert(*found)));
    }
    reached
}

/// Imports that lead back to where they come from.
fn in_loops(needs: &Needs) -> Vec<String> {
    let mut found = Vec::new();
    for (from, imports) in needs {
        for (to, path) in imports {
            if reachable(needs, to).contains(from.as_str()) {
                found.push(format!("{from} -> {to}: {path}"));
            }
        }
    }
    found
}

/// A file may import from the modules that it is in, although these use it: that is how a module is
/// cut into files. What only macros name is not seen.
#[test]
fn no_files_import_each_other_in_a_loop() {
    let needs = needs();
    assert!(needs.len() > 100, "found {} files only", needs.len());
    let found = in_loops(&needs);
    assert!(found.is_empty(), "imports that lead back to their file: {found:#?}");
}

#[test]
fn a_loop_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();
    write("lib.rs", "mod a; mod b; mod c; pub use a::A; pub const X: u8 = 0;");
    write("a.rs", "use crate::X; pub struct A(crate::b::B);");
    write("b.rs", "use super::c; pub struct B; fn f() { c::g() }");
    write("c.rs", "pub fn g() { let _: Option<super::A> = None; }");
    let in_loops_now = || {
        let mut needs = Needs::new();
        for (from, to, path) in Modules::read(&folder.path().join("lib.rs")).edges() {
            let name = |file: &Path| file.file_stem().unwrap().to_string_lossy().into_owned();
            needs.entry(name(from)).or_default().insert(name(to), path);
        }
        in_loops(&needs)
    };
    let found = ["a -> b: crate::b::B", "b -> c: super::c", "c -> a: super::A"];
    assert_eq!(in_loops_now(), found);
    write("c.rs", "pub fn g() {} #[cfg(test)] mod tests { use crate::A; }");
    assert!(in_loops_now().is_empty());
}
