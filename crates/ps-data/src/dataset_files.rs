//! Which files are for training and which for testing.

use std::path::{Path, PathBuf};

use crate::data_files::DataFiles;
use crate::file_names::file_name;
use crate::folder::listing;
use crate::idx::{IdxFiles, IdxPair, Split};
use crate::{DataSource, Error, Format};

/// The files of both sets; either may be missing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DatasetFiles {
    /// IDX.
    Idx(Option<IdxPair>, Option<IdxPair>),
    /// CSV, RecordIO-protobuf or text: the format, then any number of files for each set.
    Files(Format, Vec<PathBuf>, Vec<PathBuf>),
}

impl DatasetFiles {
    /// Finds the files that a source names.
    pub(crate) fn find(source: &DataSource) -> Result<Self, Error> {
        let train = match &source.train {
            Some(path) => find(path, source, "--data")?.map(|found| (path.as_path(), found)),
            None => None,
        };
        let Some(path) = &source.test else {
            return train.map_or(Ok(Self::nothing(source.format)), |(dir, found)| {
                both_in(dir, found, source.sharded)
            });
        };
        let test = find(path, source, "--test")?.map(|found| (path.as_path(), found));
        if let (Some((train_dir, train)), Some((test_dir, test))) = (&train, &test)
            && train.format != test.format
        {
            return Err(Error::Mismatch {
                path: (*test_dir).to_owned(),
                found: format!("files of the format {}", test.format.name()),
                other: (*train_dir).to_owned(),
                expected: format!("has files of the format {}", train.format.name()),
                hint: "training and test data must have one format; --format says which",
            });
        }
        let format = [&train, &test].into_iter().flatten().next();
        match format.map_or(source.format, |(_, found)| found.format) {
            Format::Idx => Ok(Self::Idx(
                one_pair(train, [Split::Train, Split::Unnamed, Split::Test])?,
                one_pair(test, [Split::Test, Split::Unnamed, Split::Train])?,
            )),
            format => Ok(Self::Files(format, one_set(train, TRAIN), one_set(test, TEST))),
        }
    }

    fn nothing(format: Format) -> Self {
        Self::Files(format, Vec::new(), Vec::new())
    }
}

/// Names of files and folders, without what follows the first dot, that say which set they are.
const TRAIN: &[&str] = &["train", "training"];
const TEST: &[&str] = &["test", "validation"];

/// The data files there. None at all is legal only where each host has what fell to it.
fn find(
    path: &Path,
    source: &DataSource,
    option: &'static str,
) -> Result<Option<DataFiles>, Error> {
    let found = DataFiles::find(path, source.format)?;
    if found.is_some() || source.sharded {
        return Ok(found);
    }
    let hint = match option {
        "--data" => {
            "point --data at a directory with one of these sets, or leave it out to train on the \
             bundled digits"
        }
        _ => "point --test at a directory with one of these sets, or leave it out",
    };
    Err(Error::NotFound {
        dir: path.to_owned(),
        looked_for: "IDX files (train-images-idx3-ubyte, train-labels-idx1-ubyte, \
                     t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, or one pair; also \
                     `name.idx..` and .gz), CSV files (train.csv and test.csv, or any *.csv), \
                     RecordIO-protobuf files and text (*.txt; other names with --format text)"
            .to_owned(),
        found: listing(path),
        hint,
    })
}

/// Training and test data in one folder; `sharded`: there may be nothing to train on.
fn both_in(dir: &Path, found: DataFiles, sharded: bool) -> Result<DatasetFiles, Error> {
    let DataFiles { format, files } = found;
    if format == Format::Idx {
        let idx = IdxFiles::new(dir, files)?;
        if !idx.has(Split::Train) && !idx.has(Split::Test) {
            return Ok(DatasetFiles::Idx(Some(idx.pair(Split::Unnamed)?), None));
        }
        let needs_train = !sharded || idx.has(Split::Train);
        let train = needs_train.then(|| idx.pair(Split::Train)).transpose()?;
        let test = idx.has(Split::Test).then(|| idx.pair(Split::Test)).transpose()?;
        return Ok(DatasetFiles::Idx(train, test));
    }
    let (test, rest): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| is_named(dir, file, TEST));
    let (train, unnamed): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|file| is_named(dir, file, TRAIN));
    match (train.is_empty(), test.is_empty()) {
        (true, false) if unnamed.is_empty() && !sharded => Err(Error::NotFound {
            dir: dir.to_owned(),
            looked_for: "train.csv or other files to train on, beside the test files".to_owned(),
            found: listing(dir),
            hint: "point --data at a folder with training data, and --test at these",
        }),
        (true, _) => Ok(DatasetFiles::Files(format, unnamed, test)),
        (false, true) => Ok(DatasetFiles::Files(format, sorted(train, unnamed), test)),
        (false, false) => {
            for file in unnamed {
                tracing::info!("{}: neither train nor test by its name, skipped", file.display());
            }
            Ok(DatasetFiles::Files(format, train, test))
        }
    }
}

/// The one set in a folder: the first of these splits that is there.
fn one_pair(
    found: Option<(&Path, DataFiles)>,
    splits: [Split; 3],
) -> Result<Option<IdxPair>, Error> {
    let Some((dir, found)) = found else {
        return Ok(None);
    };
    let idx = IdxFiles::new(dir, found.files)?;
    splits.into_iter().find(|&split| idx.has(split)).map(|split| idx.pair(split)).transpose()
}

/// The one set in a folder: all files, or those of this name where the folder has both sets.
fn one_set(found: Option<(&Path, DataFiles)>, names: &[&str]) -> Vec<PathBuf> {
    let Some((dir, DataFiles { files, .. })) = found else {
        return Vec::new();
    };
    let has = |names| files.iter().any(|file| is_named(dir, file, names));
    if has(TRAIN) && has(TEST) {
        return files.into_iter().filter(|file| is_named(dir, file, names)).collect();
    }
    files
}

/// Whether a file, or the folder in `dir` that it is in, has one of these names.
fn is_named(dir: &Path, file: &Path, names: &[&str]) -> bool {
    let inner = file.strip_prefix(dir).unwrap_or(file);
    let first = inner.components().next().map(|first| PathBuf::from(first.as_os_str()));
    let name = file_name(&first.unwrap_or_default());
    names.contains(&name.split('.').next().unwrap_or_default())
}

fn sorted(mut files: Vec<PathBuf>, more: Vec<PathBuf>) -> Vec<PathBuf> {
    files.extend(more);
    files.sort_unstable();
    files
}
