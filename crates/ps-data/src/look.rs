//! What one file is: by its name, by its first bytes, or by what the user says.

use std::path::Path;

use crate::byte_stream::{Beginning, FileMagic};
use crate::content::{LOOKED_AT_BYTES, is_parquet, refuse_json, refuse_unread};
use crate::file_names::{ending, has_ending, is_idx_name};
use crate::role::Role;
use crate::table_text::is_table;
use crate::{Error, Format};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Of this format.
    Is(Format),
    /// CSV, but only by its content.
    Table,
    /// Nothing is in it, or in its gzip.
    Empty,
    Unknown,
}

impl Look {
    /// Looks at a file of a set in this format; `is_named`: the user named it, not its folder.
    ///
    /// # Errors
    /// It is in a format that is not read.
    pub(crate) fn at(path: &Path, format: Format, is_named: bool) -> Result<Self, Error> {
        if format != Format::Csv && is_idx_name(path) {
            // A part of a set even when it is empty, which its reader says.
            return Ok(Self::Is(if format == Format::Auto { Format::Idx } else { format }));
        }
        let needed = match format {
            Format::Auto | Format::Csv => LOOKED_AT_BYTES,
            Format::Idx | Format::RecordioProtobuf | Format::Text => 4,
        };
        let beginning = Beginning::read(path, needed)?;
        if beginning.is_empty() {
            return Ok(Self::Empty);
        }
        match format {
            Format::Auto => Self::found_out(path, &beginning, is_named),
            Format::Csv => refuse_unread(path, &beginning).map(|()| Self::Is(format)),
            Format::Idx => Ok(Self::by_magic(&beginning).filter(|look| *look == Self::Is(format)))
                .map(|look| look.unwrap_or(Self::Unknown)),
            // What the user calls so need not be named so: names in S3 often say nothing.
            Format::RecordioProtobuf | Format::Text => Ok(Self::Is(format)),
        }
    }

    /// Where nobody says the format.
    fn found_out(path: &Path, beginning: &Beginning, is_named: bool) -> Result<Self, Error> {
        let is_csv_name = has_ending(path, &[".csv", ".tsv"]);
        if let Some(look) = Self::by_magic(beginning).filter(|_| !is_csv_name) {
            return Ok(look);
        }
        if is_csv_name || is_named || may_be_anything(path) || is_parquet(path, beginning) {
            refuse_unread(path, beginning)?;
        }
        if is_csv_name {
            return Ok(Self::Is(Format::Csv));
        }
        if is_named {
            refuse_json(path, beginning)?;
        }
        if (is_named || may_be_anything(path)) && is_table(beginning) {
            return Ok(Self::Table);
        }
        let is_text = has_ending(path, &[".txt"]);
        Ok(if is_text { Self::Is(Format::Text) } else { Self::Unknown })
    }

    fn by_magic(beginning: &Beginning) -> Option<Self> {
        match FileMagic::of(&beginning.bytes) {
            FileMagic::IdxImages | FileMagic::IdxLabels => Some(Self::Is(Format::Idx)),
            FileMagic::RecordIo => Some(Self::Is(Format::RecordioProtobuf)),
            FileMagic::Unknown => None,
        }
    }
}

/// Whether a name leaves open what is in the file.
fn may_be_anything(path: &Path) -> bool {
    let ending = ending(path);
    matches!(ending.as_str(), "" | "txt" | "data" | "dat") || Role::is_ending(&ending)
}
