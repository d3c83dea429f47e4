//! CSV in which every line is understood by itself: numbers as they are, labels as class numbers.
//!
//! For data that no single process sees whole (a host's own share, a stream): what would be learnt
//! from a part, such as means or a numbering of texts, would differ from process to process.

use std::path::Path;

use csv::StringRecord;

use super::column::number;
use super::errors::value_error;
use super::header::FirstRow;
use super::label::LabelColumn;
use super::rows::Rows;
use crate::Error;
use crate::byte_stream::ByteStream;
use crate::label_class::class_number;
use crate::sample_reader::{Next, SampleReader};

/// Reads one file or stream of CSV lines.
pub(crate) struct NumericReader {
    rows: Rows,
    label: LabelColumn,
    first: Option<FirstRow>,
    /// Number of inputs, as a shape.
    shape: [usize; 1],
    /// Number of the present sample, from 1.
    record: u64,
}

impl NumericReader {
    /// Reads these lines; errors name the path.
    pub(crate) fn new(path: &Path, text: ByteStream, label: LabelColumn) -> Self {
        Self { rows: Rows::new(path, text), label, first: None, shape: [0], record: 0 }
    }
}

impl SampleReader for NumericReader {
    fn next(&mut self, wanted: bool, inputs: &mut Vec<f32>) -> Result<Next, Error> {
        loop {
            let Some((line, row)) = self.rows.next_row()? else {
                return Ok(Next::End);
            };
            let path = self.rows.path();
            let first = match self.first.take() {
                Some(first) => first,
                None => FirstRow::new(path, line, row.clone(), &self.label)?,
            };
            let first = self.first.insert(first);
            self.shape = [first.columns() - 1];
            // Files that follow each other in one stream may each have the header.
            if first.is_repeated_by(&row) {
                continue;
            }
            self.record += 1;
            if !wanted {
                return Ok(Next::Skipped);
            }
            return encode(path, first, line, &row, inputs).map(Next::Sample);
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn position(&self) -> (&Path, u64) {
        (self.rows.path(), self.record)
    }
}

/// Appends the inputs of a line and gives its class.
fn encode(
    path: &Path,
    first: &FirstRow,
    line: u64,
    row: &StringRecord,
    inputs: &mut Vec<f32>,
) -> Result<u32, Error> {
    let wrong = |column, problem| {
        let names = first.may_be_header().then(|| first.names());
        value_error(path, line, column, names.as_deref(), problem)
    };
    let mut class = 0;
    for (column, value) in row.iter().enumerate() {
        let read = number(value).ok_or_else(|| {
            let problem = format!(
                "`{value}` is not a finite number; where no process sees all data (--sharded, \
                 --pipe, --stream), texts cannot be numbered the same everywhere: write them as numbers, or \
                 give every host all files (FullyReplicated)"
            );
            wrong(column, problem)
        })?;
        if column == first.label() {
            class = class_number(read).map_err(|problem| wrong(column, problem))?;
        } else {
            inputs.push(read as f32);
        }
    }
    Ok(class)
}
