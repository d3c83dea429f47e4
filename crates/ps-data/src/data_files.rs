//! Which files of a folder are data, and of which format.

use std::path::{Path, PathBuf};

use crate::byte_stream::{FileMagic, magic};
use crate::file_names::{has_ending, is_idx_name};
use crate::{Error, Format, folder};

/// The files of one format in one folder, sorted by path.
#[derive(Debug)]
pub(crate) struct DataFiles {
    pub(crate) format: Format,
    pub(crate) files: Vec<PathBuf>,
}

impl DataFiles {
    /// The files of this format; where the format is to be found out, those of the first that is
    /// there: IDX, CSV, RecordIO-protobuf, text. `None` without any.
    pub(crate) fn find(path: &Path, format: Format) -> Result<Option<Self>, Error> {
        if !path.exists() {
            return Ok(None);
        }
        let files = folder::files(path)?;
        // What the user calls so need not be named so: names in S3 often say nothing.
        if matches!(format, Format::Csv | Format::RecordioProtobuf | Format::Text) {
            return Ok((!files.is_empty()).then_some(Self { format, files }));
        }
        let detected: Vec<Option<Format>> =
            files.iter().map(|file| detect(file)).collect::<Result<_, _>>()?;
        let formats = [Format::Idx, Format::Csv, Format::RecordioProtobuf, Format::Text];
        let wanted = formats.into_iter().find(|&wanted| {
            (format == Format::Auto || format == wanted) && detected.contains(&Some(wanted))
        });
        let (of_format, others): (Vec<_>, Vec<_>) = files
            .into_iter()
            .zip(detected)
            .partition(|(_, found)| found.is_some() && *found == wanted);
        for (file, _) in others {
            tracing::info!("{}: not of the format of this set, skipped", file.display());
        }
        let files = of_format.into_iter().map(|(file, _)| file).collect();
        Ok(wanted.map(|format| Self { format, files }))
    }
}

/// The format of a file by its name, or else by its first bytes.
fn detect(path: &Path) -> Result<Option<Format>, Error> {
    if is_idx_name(path) {
        return Ok(Some(Format::Idx));
    }
    if has_ending(path, &[".csv"]) {
        return Ok(Some(Format::Csv));
    }
    Ok(match magic(path)? {
        FileMagic::IdxImages | FileMagic::IdxLabels => Some(Format::Idx),
        FileMagic::RecordIo => Some(Format::RecordioProtobuf),
        FileMagic::Unknown => has_ending(path, &[".txt"]).then_some(Format::Text),
    })
}
