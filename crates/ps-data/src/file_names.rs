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
