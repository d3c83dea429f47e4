//! Whether a text is a table: lines of as many values each, between commas, semicolons or tabs.
//!
//! Prose has commas too. It is told from a table by what follows them (a blank), by how long its
//! last part is, and by columns: those of a table hold numbers, or the same few texts again and again.

use csv::{ByteRecord, ReaderBuilder};
use ps_core::schema::MISSING;

use crate::byte_stream::Beginning;

/// Lines that are looked at.
const LINES_MAX: usize = 100;

/// Of two columns, the bytes of the last one: longer, and it is the rest of a sentence.
const LAST_OF_TWO_BYTES_MAX: usize = 32;

/// Bytes of a value in a table of texts alone.
const TEXT_BYTES_MAX: usize = 64;

/// Lines of a table of texts alone that is written with blanks as prose is.
const SPACED_LINES_MIN: usize = 10;

/// Whether the beginning of a file is that of a table.
pub(crate) fn is_table(beginning: &Beginning) -> bool {
    let text = complete_lines(beginning);
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let is_text = text.iter().all(|&byte| byte >= b' ' || matches!(byte, b'\t' | b'\r' | b'\n'));
    let is_json = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
    is_text && !is_json && [b',', b';', b'\t'].iter().any(|&between| is_table_of(text, between))
}

/// The lines that are there to their ends.
pub(crate) fn complete_lines(beginning: &Beginning) -> &[u8] {
    let bytes = beginning.bytes.as_slice();
    if beginning.is_whole {
        return bytes;
    }
    let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    &bytes[..end]
}

fn is_table_of(text: &[u8], between: u8) -> bool {
    // UCI's files begin with a remark of this kind.
    let mut reader = ReaderBuilder::new();
    let reader = reader.delimiter(between).has_headers(false).flexible(true).comment(Some(b'|'));
    let rows = reader.from_reader(text).into_byte_records().take(LINES_MAX);
    let Ok(rows) = rows.collect::<Result<Vec<ByteRecord>, _>>() else {
        return false;
    };
    let columns = rows.first().map_or(0, ByteRecord::len);
    if rows.len() < 2 || columns < 2 || rows.iter().any(|row| row.len() != columns) {
        return false;
    }
    let is_long = |row: &ByteRecord| row[columns - 1].trim_ascii().len() > LAST_OF_TWO_BYTES_MAX;
    if columns == 2 && rows.iter().any(is_long) {
        return false;
    }
    let columns: Vec<Column> = (0..columns).map(|column| Column::of(&rows, column)).collect();
    // Lines of verse that all end with a comma, or that all begin with a tab.
    columns.iter().filter(|column| !column.is_blank).count() >= 2
        && (columns.iter().any(|column| column.is_numeric) || is_of_texts(&rows, &columns))
}

/// Whether lines without a column of numbers are a table all the same.
fn is_of_texts(rows: &[ByteRecord], columns: &[Column]) -> bool {
    let mut values = rows.iter().flat_map(ByteRecord::iter);
    if values.any(|value| value.trim_ascii().len() > TEXT_BYTES_MAX) {
        return false;
    }
    let begins_blank = |value: &[u8]| value.first().is_some_and(u8::is_ascii_whitespace);
    let is_spaced = rows.iter().any(|row| row.iter().skip(1).any(begins_blank));
    let repeats = columns.iter().any(|column| column.distinct * 2 <= rows.len());
    !is_spaced || (columns.len() > 2 && rows.len() >= SPACED_LINES_MIN && repeats)
}

/// What the values of a column are like.
struct Column {
    is_blank: bool,
    /// Numbers, but for the first value, which may be a name, and for those that are missing.
    is_numeric: bool,
    distinct: usize,
}

impl Column {
    fn of(rows: &[ByteRecord], column: usize) -> Self {
        let values = || rows.iter().map(|row| row[column].trim_ascii());
        let mut distinct: Vec<&[u8]> = values().collect();
        distinct.sort_unstable();
        distinct.dedup();
        let numbers = values().skip(1).filter(|value| is_number(value)).count();
        let missing = values().skip(1).filter(|value| is_missing(value)).count();
        Self {
            is_blank: values().all(<[u8]>::is_empty),
            is_numeric: numbers > 0 && numbers + missing + 1 == rows.len(),
            distinct: distinct.len(),
        }
    }
}

/// With a point or, between semicolons, a comma.
fn is_number(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value).replace(',', ".");
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

fn is_missing(value: &[u8]) -> bool {
    MISSING.iter().any(|missing| value.eq_ignore_ascii_case(missing.as_bytes()))
}

#[cfg(test)]
mod tests;
