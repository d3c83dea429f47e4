//! Lines of a CSV file, with errors that name the file and the line.

use std::path::{Path, PathBuf};

use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord, Trim};

use crate::Error;
use crate::byte_stream::ByteStream;

/// Reads one file line by line.
pub(super) struct Rows {
    path: PathBuf,
    reader: Reader<ByteStream>,
    started: bool,
}

impl Rows {
    /// The lines of a text; whether the first is a header is for the caller to find out.
    pub(super) fn new(path: &Path, text: ByteStream) -> Self {
        let reader = ReaderBuilder::new().has_headers(false).trim(Trim::All).from_reader(text);
        Self { path: path.to_owned(), reader, started: false }
    }

    /// The file that errors name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The next line and its number, `None` at the end.
    pub(super) fn next_row(&mut self) -> Result<Option<(u64, StringRecord)>, Error> {
        let mut row = StringRecord::new();
        let more = self.reader.read_record(&mut row);
        if !more.map_err(|error| explain(self.path.clone(), error))? {
            return Ok(None);
        }
        // Spreadsheets put a byte order mark before the first value.
        if !std::mem::replace(&mut self.started, true) && row[0].starts_with('\u{feff}') {
            row = row.iter().map(|value| value.trim_start_matches('\u{feff}')).collect();
        }
        let line = row.position().map_or(1, csv::Position::line);
        Ok(Some((line, row)))
    }
}

fn explain(path: PathBuf, error: csv::Error) -> Error {
    let problem = match error.into_kind() {
        ErrorKind::Io(source) => return Error::Read { path, source },
        ErrorKind::UnequalLengths { pos, expected_len, len } => format!(
            "{len} columns in line {}, expected {expected_len} as in the first line; is a comma \
             missing, or a text with a comma not in quotes?",
            pos.map_or(0, |position| position.line())
        ),
        ErrorKind::Utf8 { pos, err } => format!(
            "line {}, column {}: not UTF-8 text; convert the file to UTF-8",
            pos.map_or(0, |position| position.line()),
            err.field() + 1
        ),
        other => format!("not readable as CSV: {other:?}"),
    };
    Error::File { path, problem }
}
