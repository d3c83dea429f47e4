//! The Rust files of the workspace, and what is wrong with one by itself.

use std::path::{Path, PathBuf};

const LINES_MAX: usize = 350;

/// The workspace's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A file's path as people write it, from the workspace's folder.
pub(crate) fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

/// All Rust files of the workspace, in order.
fn rust_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name());
            let is_ours = name != "target" && !name.to_string_lossy().starts_with('.');
            if is_ours && entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[test]
fn no_file_is_too_long() {
    let files = rust_files();
    assert!(files.len() > 100, "found {} files only", files.len());
    let lines = files.iter().map(|file| (file, std::fs::read_to_string(file).unwrap()));
    let long = lines.map(|(file, text)| (shown(file), text.lines().count()));
    let long = long.filter(|(_, lines)| *lines > LINES_MAX);
    let long: Vec<_> = long.collect();
    assert!(long.is_empty(), "more than {LINES_MAX} lines: {long:#?}");
}

/// A library that sets the allocator breaks every program that has its own.
#[test]
fn only_programs_choose_an_allocator() {
    let sets_one =
        |file: &Path| std::fs::read_to_string(file).unwrap().contains("\n#[global_allocator]");
    let is_program = |file: &Path| {
        file.ends_with("main.rs")
            || file.parent().is_some_and(|it| it.ends_with("examples") || it.ends_with("src/bin"))
    };
    let files: Vec<_> = rust_files().into_iter().filter(|file| sets_one(file)).collect();
    assert!(!files.is_empty(), "not even the programs set one");
    let wrong: Vec<_> = files.iter().filter(|file| !is_program(file)).collect();
    assert!(wrong.is_empty(), "#[global_allocator] outside of a program: {wrong:#?}");
}

/// Variables that no option has are told as probably misspelt: one that is missing in the list would be, too.
#[test]
fn every_variable_of_an_option_is_known() {
    let mut missing = Vec::new();
    for file in rust_files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let parts = text.split("env = \"PS_").skip(1);
        let names = parts.filter_map(|rest| Some(format!("PS_{}", rest.split_once('"')?.0)));
        let is_missing = |name: &String| {
            !name.starts_with("PS_UNIT_") && !ps_cli::variables::KNOWN.contains(&name.as_str())
        };
        missing.extend(names.filter(is_missing).filter(|_| !file.ends_with("house/files.rs")));
    }
    assert!(missing.is_empty(), "not in ps_cli::variables::KNOWN: {missing:?}");
}
