//! The files below a data folder.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::error::check_limits;
use crate::file_names::is_idx_name;
use crate::limits::{FILES_MAX, FOLDER_DEPTH_MAX};

/// Entries of a directory that an error names, so that one look shows a wrong path.
const LISTED_MAX: usize = 8;

/// All files in a folder and its subfolders, sorted by path; hidden and empty ones are left out,
/// but for empty ones that are by their name an indispensable part of a set.
/// The path of a file is that file alone.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    let about = std::fs::metadata(path).map_err(|source| read_error(path, source))?;
    add(path, &about, 0, &mut files)?;
    files.sort_unstable();
    Ok(files)
}

fn add(path: &Path, about: &Metadata, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    check_size(path, depth, files.len())?;
    if about.is_file() && about.len() == 0 && !is_idx_name(path) {
        tracing::info!("{}: an empty file, skipped", path.display());
    } else if about.is_file() {
        files.push(path.to_owned());
    } else if about.is_dir() {
        for entry in std::fs::read_dir(path).map_err(|source| read_error(path, source))? {
            let inner = entry.map_err(|source| read_error(path, source))?;
            let hidden = inner.file_name().to_string_lossy().starts_with('.');
            let inner = inner.path();
            if hidden {
                tracing::info!("{}: hidden, skipped", inner.display());
                continue;
            }
            let about = std::fs::metadata(&inner).map_err(|source| read_error(&inner, source))?;
            add(&inner, &about, depth + 1, files)?;
        }
    } else {
        tracing::info!("{}: neither a file nor a folder, skipped", path.display());
    }
    Ok(())
}

fn check_size(path: &Path, depth: usize, files: usize) -> Result<(), Error> {
    let depth = ("the depth of folders", depth as u128, FOLDER_DEPTH_MAX);
    let files = ("the number of files", files as u128, FILES_MAX);
    let hint = "is this the data's folder, and is there a link to a folder above?";
    check_limits(path, [depth, files], hint)
}

fn read_error(path: &Path, source: std::io::Error) -> Error {
    Error::Read { path: path.to_owned(), source }
}

/// What is in the directory instead, in words.
pub(crate) fn listing(dir: &Path) -> String {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => return format!("the directory cannot be read: {error}"),
    };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(LISTED_MAX);
    names.truncate(LISTED_MAX);
    match (names.is_empty(), more) {
        (true, _) => "the directory is empty".to_owned(),
        (false, 0) => format!("found {}", names.join(", ")),
        (false, more) => format!("found {} and {more} more", names.join(", ")),
    }
}
