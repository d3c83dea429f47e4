//! The files of both sets, as their readers take them.

use std::path::{Path, PathBuf};

use crate::file_sets::FileSets;
use crate::idx::IdxPair;
use crate::{DataSource, Error, Format};

/// The files of training, test and validation set; any may be missing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DatasetFiles {
    /// IDX.
    Idx(Option<IdxPair>, Option<IdxPair>, Option<IdxPair>),
    /// CSV, RecordIO-protobuf or text: the format, then any number of files for each set.
    Files(Format, Vec<PathBuf>, Vec<PathBuf>, Vec<PathBuf>),
}

impl DatasetFiles {
    /// The first file of a table, if they are one.
    pub(crate) fn table(&self) -> Option<&Path> {
        match self {
            Self::Files(Format::Csv, train, test, validation) => {
                let first = train.first().or(test.first()).or(validation.first());
                first.map(PathBuf::as_path)
            }
            _ => None,
        }
    }

    /// Finds the files that a source names, and says what becomes of the others.
    pub(crate) fn find(source: &DataSource) -> Result<Self, Error> {
        let found = FileSets::find(source)?;
        found.log();
        let FileSets { format, training, test, validation, .. } = found;
        Ok(match format {
            Format::Idx => {
                Self::Idx(IdxPair::of(training), IdxPair::of(test), IdxPair::of(validation))
            }
            format => Self::Files(format, training, test, validation),
        })
    }
}
