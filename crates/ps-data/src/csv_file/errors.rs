//! Errors that name the line and the column.

use std::path::Path;

use crate::Error;

/// What is wrong with a file as a whole.
pub(super) fn file_error(path: &Path, problem: impl Into<String>) -> Error {
    Error::File { path: path.to_owned(), problem: problem.into() }
}

/// A line of another length than the first one of `like`.
pub(super) fn columns_error(
    path: &Path,
    line: u64,
    columns: usize,
    expected: usize,
    like: &str,
) -> Error {
    file_error(path, format!("{columns} columns in line {line}, expected {expected} as in {like}"))
}

/// What is wrong with a value.
pub(super) fn value_error(
    path: &Path,
    line: u64,
    column: usize,
    names: Option<&[String]>,
    problem: String,
) -> Error {
    Error::Value { path: path.to_owned(), line, column: column_name(column, names), problem }
}

/// A column in words.
pub(super) fn column_name(column: usize, names: Option<&[String]>) -> String {
    match names.and_then(|names| names.get(column)) {
        Some(name) => format!("column {} (`{name}`)", column + 1),
        None => format!("column {}", column + 1),
    }
}
