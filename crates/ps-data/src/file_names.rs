//! What the name of a file says.

use std::path::Path;

/// The last part of a path, lower case.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// Whether a file has one of these name endings, or one with `.gz` behind it.
pub(crate) fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let name = file_name(path);
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    endings.iter().any(|ending| name.ends_with(ending))
}

/// Whether a file is part of an IDX set by its name.
pub(crate) fn is_idx_name(path: &Path) -> bool {
    has_ending(path, &["idx3-ubyte", "idx1-ubyte"])
}

/// Files that a message names, so that one look shows what is meant.
pub(crate) const NAMED_MAX: usize = 8;

/// The paths of files as they are below a folder, up to a number.
pub(crate) fn names_below(root: &Path, paths: &[impl AsRef<Path>]) -> String {
    let name = |path: &Path| {
        let inner = path.strip_prefix(root).ok().filter(|inner| !inner.as_os_str().is_empty());
        inner.unwrap_or(path).display().to_string()
    };
    let names: Vec<String> = paths.iter().take(NAMED_MAX).map(|path| name(path.as_ref())).collect();
    match paths.len().saturating_sub(NAMED_MAX) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// What follows the last dot of a name, but for `.gz`; empty where there is none.
pub(crate) fn ending(path: &Path) -> String {
    let name = file_name(path);
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.rsplit_once('.').map(|(_, ending)| ending.to_owned()).unwrap_or_default()
}
