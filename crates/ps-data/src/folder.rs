//! The files below a data folder.

use std::ffi::OsString;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::error::check_limits;
use crate::file_names::{file_name, is_idx_name, names_below};
use crate::ignored::Ignored;
use crate::limits::{FILES_MAX, FOLDER_DEPTH_MAX};
use crate::set_aside::{SetAside, Why};

/// What is below a data folder, sorted by path.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) set_aside: Vec<SetAside>,
}

/// All files in a folder and its subfolders, without those that are no data whatever the format;
/// empty ones that are by their name an indispensable part of a set stay. The path of a file is
/// that file alone, whatever its name.
pub(crate) fn files(path: &Path, ignored: &Ignored) -> Result<Listing, Error> {
    let mut walk = Walk { root: path, ignored, found: Listing::default() };
    let about = std::fs::metadata(path).map_err(|source| read_error(path, source))?;
    walk.add(path, &about, 0)?;
    walk.found.files.sort_unstable();
    walk.found.set_aside.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok(walk.found)
}

/// The way through a folder.
struct Walk<'a> {
    root: &'a Path,
    ignored: &'a Ignored,
    found: Listing,
}

impl Walk<'_> {
    fn add(&mut self, path: &Path, about: &Metadata, depth: usize) -> Result<(), Error> {
        check_size(path, depth, self.found.files.len() + self.found.set_aside.len())?;
        // Before anything else, so that a pattern is known to match.
        if !about.is_dir() && self.ignored.matches(self.root, path) {
            self.set_aside(path, Why::Ignored);
        } else if depth > 0 && is_hidden(path) {
            self.set_aside(path, Why::Hidden);
        } else if about.is_dir() {
            for entry in std::fs::read_dir(path).map_err(|source| read_error(path, source))? {
                let inner = entry.map_err(|source| read_error(path, source))?.path();
                self.add(&inner, &metadata(&inner)?, depth + 1)?;
            }
        } else if !about.is_file() {
            self.set_aside(path, Why::NoFile);
        } else if about.len() == 0 && !is_idx_name(path) {
            self.set_aside(path, Why::Empty);
        } else {
            self.found.files.push(path.to_owned());
        }
        Ok(())
    }

    fn set_aside(&mut self, path: &Path, why: Why) {
        self.found.set_aside.push(SetAside { path: path.to_owned(), why });
    }
}

/// Whether by its name a file or folder is no data: programs mark so what they are not done with,
/// and what they tell of themselves.
fn is_hidden(path: &Path) -> bool {
    file_name(path).starts_with(['.', '_'])
}

/// Of what a link leads to; of the link itself, where that is hidden: nobody asks where it leads.
fn metadata(path: &Path) -> Result<Metadata, Error> {
    let about = match is_hidden(path) {
        true => std::fs::symlink_metadata(path),
        false => std::fs::metadata(path),
    };
    about.map_err(|source| read_error(path, source))
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
    if dir.is_file() {
        return "it is a file, and looks like none of these".to_owned();
    }
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => return format!("the directory cannot be read: {error}"),
    };
    let mut names: Vec<OsString> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort_unstable();
    match names.is_empty() {
        true => "the directory is empty".to_owned(),
        false => format!("found {}", names_below(dir, &names)),
    }
}
