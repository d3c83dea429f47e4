//! Columns that are learnt from shares which no process sees together.

use std::path::{Path, PathBuf};

use ps_core::limits::LEARNT_TEXT_BYTES_MAX;
use ps_core::schema::{BeginningLine, Schema, TableSums};

use super::errors::{file_error, line_error};
use super::learn::{Extent, FirstRow, Learnt, check_moved, is_header, read, read_stream, schema};
use super::table::{Table, told};
use crate::byte_stream::ByteStream;
use crate::table_options::TableOptions;
use crate::{Error, Wrapper};

/// What is counted in these files, by whom; `None` where there is no line.
pub(crate) fn sums_of_files(
    paths: &[PathBuf],
    options: &TableOptions,
    wrapper: Wrapper,
    extent: Extent,
    who: &str,
) -> Result<Option<TableSums>, Error> {
    let learnt = read(paths, options, wrapper, extent)?;
    learnt.map(|learnt| learnt.into_sums(extent, who)).transpose()
}

/// What is counted in the beginning of a stream.
pub(crate) fn sums_of_stream(
    path: &Path,
    text: ByteStream,
    options: &TableOptions,
    wrapper: Wrapper,
    samples_max: u64,
    who: &str,
) -> Result<Option<TableSums>, Error> {
    let extent = Extent::first(samples_max);
    let learnt = read_stream(path, text, options, wrapper, extent)?;
    learnt.map(|learnt| learnt.into_sums(extent, who)).transpose()
}

impl Learnt {
    fn into_sums(self, extent: Extent, who: &str) -> Result<TableSums, Error> {
        let Self { first, table, delimiter, moved } = self;
        if let Some(long) = first.values.iter().find(|text| text.len() > LEARNT_TEXT_BYTES_MAX) {
            let problem = format!(
                "a value of {} bytes, expected at most {LEARNT_TEXT_BYTES_MAX} in the first line of a share; is it one of a table?",
                long.len()
            );
            return Err(line_error(&first.path, first.line, problem));
        }
        let mut sums = table.into_sums(who, delimiter);
        sums.beginnings.push(BeginningLine {
            place: told(who, &first.path, first.line),
            // Each process of a machine reads the same line, and one counts it.
            times: if extent.part == 0 { 1 + first.repetitions } else { 0 },
            moved: moved.map(|(path, line)| told(who, &path, line)),
        });
        for (column, value) in sums.columns.iter_mut().zip(first.values) {
            column.beginnings.push(value);
        }
        Ok(sums)
    }
}

/// What is understood of a table that several counted, each in its share.
///
/// # Errors
/// Nobody can say what it is, or two shares contradict each other.
pub(crate) fn schema_of_sums(sums: &TableSums, options: &TableOptions) -> Result<Schema, Error> {
    let firsts: Vec<FirstRow> = (0..sums.beginnings.len()).map(|at| first_row(sums, at)).collect();
    let Some(any) = firsts.first() else {
        return Err(Error::Options("no share of the table has a line".to_owned()));
    };
    let header = header(sums, &firsts, options)?;
    let first = header.map_or(any, |at| &firsts[at]);
    for (first, line) in firsts.iter().zip(&sums.beginnings) {
        let is_header = header.is_some_and(|at| std::ptr::eq(first, &firsts[at]));
        let moved = line.moved.as_ref().map(|place| (PathBuf::from(&place.file), place.line));
        check_moved(first, moved.as_ref(), is_header)?;
    }
    let table = with_samples(sums, first, &firsts, header, options)?;
    schema(first, header.is_some(), table, sums.delimiter, options)
}

/// A first line of somebody's share; its repetitions are all lines that are it, but for one.
fn first_row(sums: &TableSums, at: usize) -> FirstRow {
    let BeginningLine { place, .. } = &sums.beginnings[at];
    let values = sums.beginning(at).into_iter().map(str::to_owned).collect();
    FirstRow::of(Path::new(&place.file), place.line, values)
}

/// The table with all first lines but one as samples.
fn with_samples(
    sums: &TableSums,
    first: &FirstRow,
    firsts: &[FirstRow],
    but: Option<usize>,
    options: &TableOptions,
) -> Result<Table, Error> {
    let mut table = Table::of_sums(sums, first, options)?;
    for (at, other) in firsts.iter().enumerate().filter(|(at, _)| Some(*at) != but) {
        table.add_times(other, sums.beginnings[at].times);
    }
    Ok(table)
}

/// Which of the first lines is the header, if one is: as in several files of one table, others are samples then.
fn header(
    sums: &TableSums,
    firsts: &[FirstRow],
    options: &TableOptions,
) -> Result<Option<usize>, Error> {
    let mut found: Option<usize> = None;
    for (at, first) in firsts.iter().enumerate() {
        // Most are samples by all other lines, whatever the other first lines are.
        if firsts.len() > 1 && sums.samples > 0 {
            let table = Table::of_sums(sums, first, options)?;
            if matches!(is_header(first, &table, options), Ok(false)) {
                continue;
            }
        }
        let table = with_samples(sums, first, firsts, Some(at), options)?;
        if !is_header(first, &table, options)? {
            continue;
        }
        if let Some(other) = found.replace(at) {
            let columns = |first: &FirstRow| first.texts().join(", ");
            let problem = format!(
                "it has the columns {}, but {} has {}: all shares of a job must be of one table, with its columns in the same order",
                columns(first),
                firsts[other].path.display(),
                columns(&firsts[other])
            );
            return Err(file_error(&first.path, problem));
        }
    }
    Ok(found)
}
