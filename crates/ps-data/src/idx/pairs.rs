//! IDX sets: which of the files are the images and labels of a set.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use super::file::IdxKind;
use crate::Error;
use crate::file_names::file_name;
use crate::folder::listing;

/// An images file and the labels file that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdxPair {
    pub(crate) images: PathBuf,
    pub(crate) labels: PathBuf,
}

impl IdxPair {
    /// The pair that a list of images and labels is, unless it is empty.
    pub(crate) fn of(files: Vec<PathBuf>) -> Option<Self> {
        let mut files = files.into_iter();
        files.next().zip(files.next()).map(|(images, labels)| Self { images, labels })
    }
}

/// What the name of a file says of its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// `train-..`
    Train,
    /// `t10k-..` or `test-..`
    Test,
    /// Anything else.
    Unnamed,
}

impl Split {
    fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "t10k",
            Self::Unnamed => "any",
        }
    }
}

/// The IDX files of a folder.
pub(super) struct IdxFiles<'a> {
    dir: &'a Path,
    files: Vec<(Split, IdxKind, PathBuf)>,
    /// Files that are there in another form, too, which is read.
    pub(super) copies: Vec<PathBuf>,
}

impl<'a> IdxFiles<'a> {
    /// Tells images from labels, by name or else by content.
    pub(super) fn new(dir: &'a Path, files: Vec<PathBuf>) -> Result<Self, Error> {
        let mut sorted = Vec::new();
        let (files, copies) = without_duplicates(files);
        for file in files {
            let name = file_name(&file);
            let split = match () {
                () if name.starts_with("train") => Split::Train,
                () if name.starts_with("t10k") || name.starts_with("test") => Split::Test,
                () => Split::Unnamed,
            };
            let kind = IdxKind::of_file(&name, &file)?;
            sorted.push((split, kind, file));
        }
        Ok(Self { dir, files: sorted, copies })
    }

    /// Whether any file is of this split.
    pub(super) fn has(&self, split: Split) -> bool {
        self.files.iter().any(|(own, ..)| *own == split)
    }

    /// All files of this split.
    pub(super) fn of(&self, split: Split) -> Vec<PathBuf> {
        let files = self.files.iter().filter(|(own, ..)| *own == split);
        files.map(|(.., path)| path.clone()).collect()
    }

    /// The images and labels of this split.
    pub(super) fn pair(&self, split: Split) -> Result<IdxPair, Error> {
        let images = self.only(split, IdxKind::Images)?;
        Ok(IdxPair { images, labels: self.only(split, IdxKind::Labels)? })
    }

    fn only(&self, split: Split, kind: IdxKind) -> Result<PathBuf, Error> {
        let of_kind = self.files.iter().filter(|(its, own, _)| *its == split && *own == kind);
        let paths: Vec<&PathBuf> = of_kind.map(|(.., path)| path).collect();
        let (what, format) = kind.names();
        match paths.as_slice() {
            [path] => Ok((*path).clone()),
            [] => Err(Error::NotFound {
                dir: self.dir.to_owned(),
                looked_for: format!(
                    "{}-{what}-{format}, which belongs to the other IDX files there",
                    split.name()
                ),
                found: listing(self.dir),
                hint: "an IDX set is a file of images and one of labels; copy the missing one there",
            }),
            [one, other, ..] => Err(Error::Mismatch {
                path: (*other).clone(),
                found: format!("is a file of {what}"),
                other: (*one).clone(),
                expected: "is one too".to_owned(),
                hint: "expected one of each kind in a set; remove the others or join them",
            }),
        }
    }
}

/// Of files that differ only in `.gz` or in `-idx` against `.idx`, the one that is read fastest;
/// then the others.
fn without_duplicates(files: Vec<PathBuf>) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let mut best: BTreeMap<PathBuf, (bool, bool, PathBuf)> = BTreeMap::new();
    let mut copies = Vec::new();
    for file in files {
        let name = file_name(&file);
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        let (gzip, dot) = (plain.len() != name.len(), plain.contains(".idx"));
        let key = file.with_file_name(plain.replace(".idx", "-idx"));
        let candidate = (gzip, dot, file);
        match best.entry(key) {
            Entry::Vacant(free) => drop(free.insert(candidate)),
            Entry::Occupied(mut held) if candidate < *held.get() => {
                copies.push(held.insert(candidate).2);
            }
            Entry::Occupied(_) => copies.push(candidate.2),
        }
    }
    (best.into_values().map(|(.., file)| file).collect(), copies)
}
