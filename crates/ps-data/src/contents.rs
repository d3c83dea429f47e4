//! Which files of a folder are data, and of which format.

use std::path::{Path, PathBuf};

use super::input::{self, Beginning};
use super::{Error, Format, folder};

/// The files of one format in one folder, sorted by path.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) format: Format,
    pub(super) files: Vec<PathBuf>,
}

impl Contents {
    /// The files of this format; where the format is to be found out, those of the first that is
    /// there: IDX, CSV, RecordIO-protobuf, text. `None` without any.
    pub(super) fn find(path: &Path, format: Format) -> Result<Option<Self>, Error> {
        if !path.exists() {
            return Ok(None);
        }
        let files = folder::files(path)?;
        // What the user calls so need not be named so: names in S3 often say nothing.
        if matches!(format, Format::Csv | Format::RecordioProtobuf | Format::Text) {
            return Ok((!files.is_empty()).then_some(Self { format, files }));
        }
        let mut kinds = Vec::with_capacity(files.len());
        for file in files {
            kinds.push((kind(&file)?, file));
        }
        let formats = [Format::Idx, Format::Csv, Format::RecordioProtobuf, Format::Text];
        let wanted = formats.into_iter().find(|&wanted| {
            (format == Format::Auto || format == wanted)
                && kinds.iter().any(|(kind, _)| *kind == Some(wanted))
        });
        let mut files = Vec::new();
        for (kind, file) in kinds {
            if wanted.is_some() && kind == wanted {
                files.push(file);
            } else {
                tracing::info!("{}: not of the format of this set, skipped", file.display());
            }
        }
        Ok(wanted.map(|format| Self { format, files }))
    }
}

/// The format of a file by its name, or else by its first bytes.
fn kind(path: &Path) -> Result<Option<Format>, Error> {
    if named_idx(path) {
        return Ok(Some(Format::Idx));
    }
    let name = file_name(path);
    if name.ends_with(".csv") || name.ends_with(".csv.gz") {
        return Ok(Some(Format::Csv));
    }
    Ok(match input::beginning(path)? {
        Beginning::Images | Beginning::Labels => Some(Format::Idx),
        Beginning::RecordIo => Some(Format::RecordioProtobuf),
        Beginning::Other if [".txt", ".txt.gz"].iter().any(|end| name.ends_with(end)) => {
            Some(Format::Text)
        }
        Beginning::Other => None,
    })
}

/// Whether a file is part of an IDX set by its name.
pub(super) fn named_idx(path: &Path) -> bool {
    let name = file_name(path);
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.ends_with("idx3-ubyte") || name.ends_with("idx1-ubyte")
}

/// The last part of a path, lower case.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default()
}
