//! IDX sets: which of the files are the images and labels of a set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::contents::file_name;
use super::folder::listing;
use super::idx::{self, Content, Kind};
use super::input::{self, Beginning};
use super::{Error, Features, Samples};

/// An images file and the labels file that belongs to it.
pub(super) type Pair = (PathBuf, PathBuf);

/// What the name of a file says of its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// `train-..`
    Train,
    /// `t10k-..` or `test-..`
    Test,
    /// Anything else.
    Unnamed,
}

impl Part {
    fn words(self) -> &'static str {
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
    files: Vec<(Part, Kind, PathBuf)>,
}

impl<'a> IdxFiles<'a> {
    /// Tells images from labels, by name or else by content.
    pub(super) fn new(dir: &'a Path, files: Vec<PathBuf>) -> Result<Self, Error> {
        let mut sorted = Vec::new();
        for file in without_duplicates(files) {
            let name = file_name(&file);
            let part = match () {
                () if name.starts_with("train") => Part::Train,
                () if name.starts_with("t10k") || name.starts_with("test") => Part::Test,
                () => Part::Unnamed,
            };
            let kind = if name.contains("idx3") {
                Kind::Images
            } else if name.contains("idx1") || input::beginning(&file)? == Beginning::Labels {
                Kind::Labels
            } else {
                Kind::Images
            };
            sorted.push((part, kind, file));
        }
        Ok(Self { dir, files: sorted })
    }

    /// Whether any file is of this part.
    pub(super) fn has(&self, part: Part) -> bool {
        self.files.iter().any(|(own, ..)| *own == part)
    }

    /// The images and labels of this part.
    pub(super) fn pair(&self, part: Part) -> Result<Pair, Error> {
        Ok((self.only(part, Kind::Images)?, self.only(part, Kind::Labels)?))
    }

    fn only(&self, part: Part, kind: Kind) -> Result<PathBuf, Error> {
        let of_kind = self.files.iter().filter(|(its, own, _)| *its == part && *own == kind);
        let paths: Vec<&PathBuf> = of_kind.map(|(.., path)| path).collect();
        let (what, format) = match kind {
            Kind::Images => ("images", "idx3-ubyte"),
            Kind::Labels => ("labels", "idx1-ubyte"),
        };
        match paths.as_slice() {
            [path] => Ok((*path).clone()),
            [] => Err(Error::NotFound {
                dir: self.dir.to_owned(),
                looked_for: format!(
                    "{}-{what}-{format}, which belongs to the other IDX files there",
                    part.words()
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

/// Of files that differ only in `.gz` or in `-idx` against `.idx`, the one that is read fastest.
fn without_duplicates(files: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut best: BTreeMap<PathBuf, (bool, bool, PathBuf)> = BTreeMap::new();
    for file in files {
        let name = file_name(&file);
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        let (gzip, dot) = (plain.len() != name.len(), plain.contains(".idx"));
        let key = file.with_file_name(plain.replace(".idx", "-idx"));
        let candidate = (gzip, dot, file);
        let held = best.entry(key).or_insert_with(|| candidate.clone());
        if candidate < *held {
            *held = candidate;
        }
    }
    best.into_values().map(|(.., file)| file).collect()
}

/// Reads a pair.
pub(super) fn read(pair: &Pair) -> Result<Samples, Error> {
    let content = |path: &PathBuf, kind| -> Result<(PathBuf, Content), Error> {
        let file = std::fs::File::open(path)
            .map_err(|source| Error::Read { path: path.clone(), source })?;
        Ok((path.clone(), idx::read(path, kind, file)?))
    };
    join(content(&pair.0, Kind::Images)?, content(&pair.1, Kind::Labels)?)
}

/// Makes samples of images and their labels.
pub(super) fn join(
    images: (PathBuf, Content),
    labels: (PathBuf, Content),
) -> Result<Samples, Error> {
    let (path, content) = images;
    let values = labels.1.values;
    check_counts((&path, &content.sizes), (&labels.0, values.len()))?;
    let mismatch = || mismatch((&path, content.sizes[0]), (&labels.0, values.len()));
    let classes = values.iter().map(|&label| u32::from(label)).collect();
    let shape = content.sizes[1..].to_vec();
    Samples::new(Features::Bytes(content.values), shape, classes).ok_or_else(mismatch)
}

/// Whether images of these sizes and so many labels are a set.
pub(super) fn check_counts(images: (&Path, &[usize]), labels: (&Path, usize)) -> Result<(), Error> {
    let (path, sizes) = images;
    if sizes.contains(&0) {
        return Err(Error::Length {
            path: path.to_owned(),
            found: format!("images of sizes {sizes:?}"),
            expected: "at least one image with at least one pixel".to_owned(),
            hint: "a set without samples cannot be trained on or tested with",
        });
    }
    match sizes[0] == labels.1 {
        true => Ok(()),
        false => Err(mismatch((path, sizes[0]), labels)),
    }
}

fn mismatch(images: (&Path, usize), labels: (&Path, usize)) -> Error {
    Error::Mismatch {
        path: labels.0.to_owned(),
        found: format!("{} labels", labels.1),
        other: images.0.to_owned(),
        expected: format!("has {} images", images.1),
        hint: "one of the two is from another set or incomplete",
    }
}
