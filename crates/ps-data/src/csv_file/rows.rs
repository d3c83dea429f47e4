//! Lines of a CSV file, with errors that name the file and the line.
//!
//! A line without quotes that lies in the buffer whole, as nearly all do, is taken apart where it is; others go through
//! csv-core, which understands quotes and goes on where a buffer ends.

use std::ops::Range;
use std::path::{Path, PathBuf};

use csv_core::ReadRecordResult;
use memchr::{memchr2_iter, memchr3};

use super::errors::{file_error, line_error};
use super::plain_line::split;
use super::quotes::Quotes;
use super::row::Row;
use crate::Error;
use crate::byte_stream::{BUFFER_BYTES, ByteStream};
use crate::limits::{COLUMNS_MAX, RECORD_BYTES_MAX};

/// Bytes of a byte order mark.
const MARK_BYTES: usize = 3;

/// Ends of lines that are waited for before it is judged what the first line is.
const LINES_AT_FIRST: usize = 2;

/// Reads one file line by line.
pub(super) struct Rows {
    path: PathBuf,
    source: ByteStream,
    delimiter: u8,
    csv: csv_core::Reader,
    quotes: Quotes,
    buffer: Vec<u8>,
    /// What of the buffer is not read.
    unread: Range<usize>,
    has_begun: bool,
    /// csv-core has seen the first line; at its first it would take a byte order mark out.
    has_first: bool,
    is_at_end: bool,
    /// The line of the next byte, from 1, however lines end.
    line: u64,
    /// The last byte was a carriage return, which a line feed belongs to.
    after_return: bool,
    /// The values of a line that csv-core took apart, one after another.
    values: Vec<u8>,
    /// Where each value of the present line ends.
    ends: Vec<usize>,
}

/// The present line.
struct Record {
    /// In the buffer if it is plain, else in the values.
    bytes: Range<usize>,
    columns: usize,
    is_plain: bool,
}

impl Rows {
    /// The lines of a text; whether the first is a header is for the caller to find out.
    pub(super) fn new(path: &Path, source: ByteStream, delimiter: u8) -> Self {
        Self {
            path: path.to_owned(),
            source,
            delimiter,
            csv: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            quotes: Quotes::new(delimiter),
            buffer: vec![0; BUFFER_BYTES],
            unread: 0..0,
            has_begun: false,
            has_first: false,
            is_at_end: false,
            line: 1,
            after_return: false,
            values: vec![0; 1024],
            ends: vec![0; 64],
        }
    }

    /// The file that errors name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The next line that is not blank, and its number; `None` at the end.
    pub(super) fn next_row(&mut self) -> Result<Option<(u64, Row<'_>)>, Error> {
        while self.skip_line_ends()? {
            let line = self.line;
            let record = match self.plain_record()? {
                Some(record) => record,
                None => match self.read_record(line)? {
                    Some(record) => record,
                    None => return Ok(None),
                },
            };
            if record.columns > 1 {
                return Ok(Some((line, self.row(line, record)?)));
            }
            let bytes = self.bytes(&record);
            if self.is_remark(line, bytes) {
                tracing::info!("{}: line {line} is a remark, skipped", self.path.display());
            } else if !bytes.trim_ascii().is_empty() {
                return Ok(Some((line, self.row(line, record)?)));
            }
        }
        Ok(None)
    }

    /// Whether the first line is no data: those of some archives, such as UCI's, begin so.
    fn is_remark(&self, line: u64, bytes: &[u8]) -> bool {
        line == 1 && self.delimiter != b'|' && bytes.starts_with(b"|")
    }

    fn bytes(&self, record: &Record) -> &[u8] {
        let all = if record.is_plain { &self.buffer } else { &self.values };
        &all[record.bytes.clone()]
    }

    /// The values as text.
    fn row(&self, line: u64, record: Record) -> Result<Row<'_>, Error> {
        let ends = &self.ends[..record.columns];
        match std::str::from_utf8(self.bytes(&record)) {
            Ok(text) if record.is_plain => Ok(Row::of_line(text, ends)),
            Ok(text) => Ok(Row::new(text, ends)),
            Err(error) => {
                let before = |end: &&usize| **end <= error.valid_up_to();
                let column = ends.iter().take_while(before).count() + 1;
                let problem = format!("column {column}: not UTF-8 text; convert the file to UTF-8");
                Err(line_error(&self.path, line, problem))
            }
        }
    }

    /// The next line, if it has no quote and lies in the buffer whole: most are so.
    fn plain_record(&mut self) -> Result<Option<Record>, Error> {
        let mut searched = 0;
        while self.has_first {
            let unread = &self.buffer[self.unread.clone()];
            match memchr3(b'\n', b'\r', b'"', &unread[searched..]) {
                Some(found) if unread[searched + found] == b'"' => break,
                Some(found) => {
                    let length = searched + found;
                    let columns = split(&unread[..length], self.delimiter, &mut self.ends);
                    let bytes = self.unread.start..self.unread.start + length;
                    self.after_return = unread[length] == b'\r';
                    self.line += 1;
                    self.unread.start = bytes.end + 1;
                    return Ok(Some(Record { bytes, columns, is_plain: true }));
                }
                None => {
                    searched = unread.len();
                    if !self.fill()? {
                        break;
                    }
                }
            }
        }
        Ok(None)
    }

    /// Empty lines, and what ends the last one; `false` at the end of the text.
    fn skip_line_ends(&mut self) -> Result<bool, Error> {
        loop {
            while let Some(byte @ (b'\n' | b'\r')) = self.buffer[self.unread.clone()].first() {
                self.line += u64::from(*byte == b'\r' || !self.after_return);
                self.after_return = *byte == b'\r';
                self.unread.start += 1;
            }
            if !self.unread.is_empty() {
                self.after_return = false;
                return Ok(true);
            }
            if !self.fill()? {
                return Ok(false);
            }
        }
    }

    /// The next line, whatever it is.
    fn read_record(&mut self, line: u64) -> Result<Option<Record>, Error> {
        self.has_first = true;
        let (mut bytes, mut columns, mut length) = (0, 0, 0);
        loop {
            let input = &self.buffer[self.unread.clone()];
            let (result, read, written, ended) =
                self.csv.read_record(input, &mut self.values[bytes..], &mut self.ends[columns..]);
            self.count_lines(read);
            self.unread.start += read;
            (bytes, columns, length) = (bytes + written, columns + ended, length + read);
            match result {
                ReadRecordResult::InputEmpty if length > RECORD_BYTES_MAX => {
                    let problem = format!(
                        "a line of more than {RECORD_BYTES_MAX} bytes; is a quote not closed?"
                    );
                    return Err(line_error(&self.path, line, problem));
                }
                // At the end the reader is shown nothing, and knows that by it.
                ReadRecordResult::InputEmpty => drop(self.fill()?),
                ReadRecordResult::OutputFull => self.values.resize(self.values.len() * 2, 0),
                ReadRecordResult::OutputEndsFull if columns > COLUMNS_MAX => {
                    let problem = format!("more than {COLUMNS_MAX} columns");
                    return Err(line_error(&self.path, line, problem));
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record if self.is_at_end && self.quotes.is_open() => {
                    let problem = "a quote is opened and not closed before the end of the file; \
                                   close it, or write a quote in a quoted value twice";
                    return Err(line_error(&self.path, line, problem.to_owned()));
                }
                ReadRecordResult::Record => {
                    return Ok(Some(Record { bytes: 0..bytes, columns, is_plain: false }));
                }
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    fn count_lines(&mut self, read: usize) {
        let input = &self.buffer[self.unread.start..self.unread.start + read];
        for at in memchr2_iter(b'\n', b'\r', input) {
            let after_return = if at == 0 { self.after_return } else { input[at - 1] == b'\r' };
            self.line += u64::from(input[at] == b'\r' || !after_return);
        }
        if let Some(last) = input.last() {
            self.after_return = *last == b'\r';
        }
    }

    /// Reads more behind what is not read yet; `false` at the end, or where there is no room.
    fn fill(&mut self) -> Result<bool, Error> {
        if self.unread.is_empty() {
            self.unread = 0..0;
        } else if self.unread.end == self.buffer.len() {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        let end = self.unread.end;
        while !self.is_at_end && end < self.buffer.len() {
            let mut start = end;
            let mut filled = end + self.read(end)?;
            if !std::mem::replace(&mut self.has_begun, true) {
                // What comes may come byte by byte.
                while !self.is_at_end && filled < MARK_BYTES {
                    filled += self.read(filled)?;
                }
                start += self.mark(filled)?;
                self.unread = start..start;
            }
            let kept = self.quotes.clean(&mut self.buffer[start..filled]);
            self.unread.end = start + kept;
            if kept > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read(&mut self, at: usize) -> Result<usize, Error> {
        loop {
            match self.source.read(&mut self.buffer[at..]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => (),
                Err(source) => return Err(Error::Read { path: self.path.clone(), source }),
                Ok(read) => {
                    self.is_at_end = read == 0;
                    return Ok(read);
                }
            }
        }
    }

    /// The length of a byte order mark, which spreadsheets put first.
    fn mark(&self, read: usize) -> Result<usize, Error> {
        match &self.buffer[..read] {
            [0xef, 0xbb, 0xbf, ..] => Ok(MARK_BYTES),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                Err(file_error(&self.path, "UTF-16 text; convert the file to UTF-8"))
            }
            _ => Ok(0),
        }
    }

    /// The first lines, before any was read: of what comes as it comes, a few.
    pub(super) fn beginning(&mut self) -> Result<&[u8], Error> {
        loop {
            let begun = &self.buffer[self.unread.clone()];
            let lines = memchr2_iter(b'\n', b'\r', begun).take(LINES_AT_FIRST).count();
            if lines == LINES_AT_FIRST || !self.fill()? {
                return Ok(&self.buffer[self.unread.clone()]);
            }
        }
    }
}
