//! CSV in which every line is understood by itself: numbers as they are, labels as class numbers.
//!
//! For data that no single process sees whole (a host's own share, a stream): what would be learnt
//! from a part, such as means or a numbering of texts, would differ from process to process.

use std::path::Path;

use csv::StringRecord;

use super::super::Error;
use super::super::class::class_number;
use super::super::columns::number;
use super::super::input::Input;
use super::super::limits::COLUMNS_MAX;
use super::super::reader::{Next, SampleReader};
use super::label::LabelColumn;
use super::rows::Rows;
use super::{table, value_error};

/// Reads one file or stream of CSV lines.
pub(crate) struct PlainReader {
    rows: Rows,
    label: LabelColumn,
    /// What the first line has told.
    layout: Option<Layout>,
    /// Number of inputs, as a shape.
    shape: [usize; 1],
    /// Number of the present sample, from 1.
    record: u64,
}

struct Layout {
    columns: usize,
    label: usize,
    header: Option<StringRecord>,
    names: Option<Vec<String>>,
}

impl PlainReader {
    /// Reads these lines; errors name the path.
    pub(crate) fn new(path: &Path, text: Input, label: LabelColumn) -> Self {
        Self { rows: Rows::new(path, text), label, layout: None, shape: [0], record: 0 }
    }

    /// What the first line tells; it is a header if no value in it is a number.
    fn learn(&mut self, line: u64, first: &StringRecord) -> Result<Layout, Error> {
        let path = self.rows.path();
        let columns = first.len();
        if !(2..=COLUMNS_MAX).contains(&columns) {
            let problem = format!(
                "{columns} columns in line {line}, expected 2 to {COLUMNS_MAX}, separated by \
                 commas: inputs and one label"
            );
            return Err(table(path, problem));
        }
        let label = self.label.position(first).map_err(|problem| table(path, problem))?;
        self.shape = [columns - 1];
        let header = first.iter().all(|value| number(value).is_none()).then(|| first.clone());
        let names = header.as_ref().map(|names| names.iter().map(str::to_owned).collect());
        Ok(Layout { columns, label, header, names })
    }
}

impl SampleReader for PlainReader {
    fn next(&mut self, wanted: bool, inputs: &mut Vec<f32>) -> Result<Next, Error> {
        loop {
            let Some((line, row)) = self.rows.next_row()? else {
                return Ok(Next::End);
            };
            let layout = match self.layout.take() {
                Some(layout) => layout,
                None => self.learn(line, &row)?,
            };
            let layout = self.layout.insert(layout);
            // Files that follow each other in one stream may each have the header.
            if layout.header.as_ref() == Some(&row) {
                continue;
            }
            self.record += 1;
            if !wanted {
                return Ok(Next::Skipped);
            }
            return encode(self.rows.path(), layout, line, &row, inputs).map(Next::Sample);
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn place(&self) -> (&Path, u64) {
        (self.rows.path(), self.record)
    }
}

/// Appends the inputs of a line and gives its class.
fn encode(
    path: &Path,
    layout: &Layout,
    line: u64,
    row: &StringRecord,
    inputs: &mut Vec<f32>,
) -> Result<u32, Error> {
    let Layout { columns, label, names, .. } = layout;
    let wrong = |column, problem| value_error(path, line, column, names.as_deref(), problem);
    let mut class = 0;
    for (column, value) in row.iter().enumerate() {
        let read = number(value).ok_or_else(|| {
            format!(
                "`{value}` is not a finite number; where no process sees all data (--sharded, \
                 --pipe, --stream), texts cannot be numbered the same everywhere: write them as numbers, or \
                 give every host all files (FullyReplicated)"
            )
        });
        let read = read.map_err(|problem| wrong(column, problem))?;
        if column == *label {
            class = class_number(read).map_err(|problem| wrong(column, problem))?;
        } else {
            inputs.push(read as f32);
        }
    }
    if row.len() == *columns {
        return Ok(class);
    }
    let problem =
        format!("{} columns in line {line}, expected {columns} as in the first line", row.len());
    Err(table(path, problem))
}
