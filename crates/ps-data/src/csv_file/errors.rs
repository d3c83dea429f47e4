//! Errors that name the line and the column.

use std::path::Path;

use crate::Error;

/// What is wrong with a file as a whole.
pub(super) fn file_error(path: &Path, problem: impl Into<String>) -> Error {
    Error::File { path: path.to_owned(), problem: problem.into() }
}

/// What is wrong with a line.
pub(super) fn line_error(path: &Path, line: u64, problem: String) -> Error {
    Error::Line { path: path.to_owned(), line, problem }
}

/// A line of another length than the first one of `like`.
pub(super) fn columns_error(
    path: &Path,
    line: u64,
    columns: usize,
    expected: usize,
    like: &str,
) -> Error {
    let problem = format!(
        "{columns} columns, expected {expected} as in {like}; is a delimiter missing, or a text with one not in quotes?"
    );
    line_error(path, line, problem)
}

/// What is wrong with a value.
pub(super) fn value_error(
    path: &Path,
    line: u64,
    column: usize,
    name: Option<&str>,
    problem: String,
) -> Error {
    Error::Value { path: path.to_owned(), line, column: column_name(column, name), problem }
}

/// A column in words.
pub(super) fn column_name(column: usize, name: Option<&str>) -> String {
    match name.filter(|name| !name.is_empty()) {
        Some(name) => format!("column {} (`{name}`)", column + 1),
        None => format!("column {}", column + 1),
    }
}
