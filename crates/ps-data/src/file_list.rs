//! What becomes of every file below a data folder, for people to look at before a job starts.

use std::path::{Path, PathBuf};

use crate::file_sets::FileSets;
use crate::folder::{self, Listing};
use crate::ignored::Ignored;
use crate::set_aside::SetAside;
use crate::{DataSource, Error, Format};

/// What becomes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileRole {
    /// It is trained on.
    Training,
    /// Models are measured with it.
    Test,
    /// Models are measured with it during training. There are test files too, for the end.
    Validation,
    /// It is not used.
    NotData {
        /// Why, in words.
        reason: String,
    },
    /// Nobody can say: see [`FileList::problem`].
    Undecided,
}

/// A file, or a folder of which nothing is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Where it is.
    pub path: PathBuf,
    /// What becomes of it.
    pub role: FileRole,
    /// How it is read, if it is or would be.
    pub format: Option<Format>,
}

/// All files that a source names, sorted by path.
#[derive(Debug)]
pub struct FileList {
    /// The files.
    pub files: Vec<ListedFile>,
    /// What people should know of the choice, a line each.
    pub notes: Vec<String>,
    /// Why no job starts with these files, where one does not.
    pub problem: Option<Error>,
}

/// What becomes of every file that a source names. Nothing but their beginnings is read.
///
/// # Errors
/// A folder cannot be read, or a pattern of files to ignore is none.
pub fn files(source: &DataSource) -> Result<FileList, Error> {
    let (mut files, notes, problem) = match FileSets::find(source) {
        Ok(mut sets) => {
            let notes = std::mem::take(&mut sets.notes);
            (decided(sets), notes, None)
        }
        Err(problem) => (undecided(source)?, Vec::new(), Some(problem)),
    };
    // By path, and what is used before what is not: one folder may be named for both sets.
    files.sort_by(|one, other| {
        let is_unused = |file: &ListedFile| matches!(file.role, FileRole::NotData { .. });
        (&one.path, is_unused(one)).cmp(&(&other.path, is_unused(other)))
    });
    files.dedup_by(|later, kept| later.path == kept.path && later.role != FileRole::Test);
    Ok(FileList { files, notes, problem })
}

fn decided(sets: FileSets) -> Vec<ListedFile> {
    let format = Some(sets.format);
    let of = |files: Vec<PathBuf>, role: FileRole| {
        files.into_iter().map(move |path| ListedFile { path, role: role.clone(), format })
    };
    let set_aside = sets.set_aside.into_iter().flat_map(|(_, all)| all).map(not_data);
    of(sets.training, FileRole::Training)
        .chain(of(sets.test, FileRole::Test))
        .chain(of(sets.validation, FileRole::Validation))
        .chain(set_aside)
        .collect()
}

/// The files as far as they can be told without the decision that failed.
fn undecided(source: &DataSource) -> Result<Vec<ListedFile>, Error> {
    let ignored = Ignored::new(&source.ignore_files)?;
    let mut files = Vec::new();
    let roots: [Option<&Path>; 3] =
        [source.train.as_deref(), source.test.as_deref(), source.validation.as_deref()];
    for root in roots.into_iter().flatten().filter(|root| root.exists()) {
        let Listing { files: found, set_aside } = folder::files(root, &ignored)?;
        let file = |path| ListedFile { path, role: FileRole::Undecided, format: None };
        files.extend(found.into_iter().map(file));
        files.extend(set_aside.into_iter().map(not_data));
    }
    Ok(files)
}

fn not_data(set_aside: SetAside) -> ListedFile {
    let SetAside { path, why } = set_aside;
    ListedFile { path, role: FileRole::NotData { reason: why.to_string() }, format: None }
}
