//! CSV in which every line is understood by itself: numbers as they are, labels as class numbers or numbers.
//!
//! For a share of a process that has no master, with whom others would learn its columns: what it learnt from a part alone,
//! such as means or a numbering of texts, would differ from process to process.

use std::io::Cursor;
use std::path::Path;

use ps_core::TaskChoice;
use ps_core::schema::{Column, ColumnUse, SCHEMA_VERSION, Schema, ValueRules};

use super::delimiter::known;
use super::errors::{columns_error, file_error, value_error};
use super::learn::{FirstRow, is_header};
use super::row::Row;
use super::rows::Rows;
use super::table::Table;
use crate::byte_stream::{ByteStream, open_text};
use crate::sample_reader::{Next, SampleReader};
use crate::table_options::TableOptions;
use crate::{DataSource, Error, Inputs, Label, number_label};

/// Lines that are looked at to see whether the first is a header.
const LINES_SEEN: usize = 100;

/// Reads one file or stream of CSV lines.
pub(crate) struct NumericReader {
    rows: Rows,
    delimiter: u8,
    options: TableOptions,
    columns: Option<Columns>,
    /// Number of inputs, as a shape.
    shape: [usize; 1],
    /// Number of the present sample, from 1.
    record: u64,
}

/// What the first lines say.
struct Columns {
    count: usize,
    labels: Vec<usize>,
    /// The header, which each file of a stream may have.
    header: Option<Vec<String>>,
    rules: ValueRules,
    task: TaskChoice,
}

impl NumericReader {
    /// Reads these lines; errors name the path.
    pub(crate) fn new(path: &Path, text: ByteStream, options: TableOptions) -> Self {
        let delimiter = known(path, &options).unwrap_or(b',');
        let rows = Rows::new(path, text, delimiter);
        Self { rows, delimiter, options, columns: None, shape: [0], record: 0 }
    }

    /// What the lines say that are there before one is read.
    fn look(&mut self) -> Result<Option<Columns>, Error> {
        let path = self.rows.path().to_owned();
        let beginning = self.rows.beginning()?.to_vec();
        let ends_a_line = beginning.ends_with(b"\n");
        let mut rows = Rows::new(&path, Box::new(Cursor::new(beginning)), self.delimiter);
        let Some((line, row)) = rows.next_row()? else {
            return Ok(None);
        };
        let first = FirstRow::new(&path, line, row)?;
        let mut table = Table::new(&path, &first.texts(), &self.options)?;
        let count = first.texts().len();
        // What is wrong with later lines is said when it is their turn; the last may be cut.
        let mut last: Option<(u64, Vec<String>)> = None;
        for _ in 0..LINES_SEEN {
            let next = rows.next_row().ok().flatten().map(|(line, row)| (line, row.to_texts()));
            let at_end = next.is_none();
            if let Some((line, values)) =
                std::mem::replace(&mut last, next).filter(|_| !at_end || ends_a_line)
                && values.len() == count
            {
                FirstRow::of(&path, line, values)
                    .with_row(|row| table.add(&path, line, &row, None));
            }
            if at_end {
                break;
            }
        }
        let labels = self.options.label_places(&first.texts());
        let labels = labels.map_err(|problem| file_error(&path, problem))?;
        let is_header = is_header(&first, &table, &self.options)?;
        let header = is_header.then(|| first.texts().into_iter().map(str::to_owned).collect());
        let (rules, task) = (self.options.value_rules(), self.options.task);
        Ok(Some(Columns { count, labels, header, rules, task }))
    }
}

/// The schema of a table whose numbers are taken as they are, and whose labels are class numbers, or numbers; `None` of an empty file.
///
/// # Errors
/// The file cannot be read, or its first line cannot be one of a table.
pub(crate) fn plain_schema(
    path: &Path,
    source: &DataSource,
    outputs: usize,
) -> Result<Option<Schema>, Error> {
    let text = open_text(path, source.wrapper)?;
    let mut reader = NumericReader::new(path, text, source.table.clone());
    let Some(columns) = reader.look()? else { return Ok(None) };
    let label = || match columns.task {
        TaskChoice::Regression => ColumnUse::Number { mean: 0.0, deviation: 1.0 },
        TaskChoice::MultiLabel => ColumnUse::Flag,
        TaskChoice::Auto | TaskChoice::Binary | TaskChoice::Classification => {
            ColumnUse::Class { classes: (0..outputs).map(|class| class.to_string()).collect() }
        }
    };
    let usage = |at: usize| match columns.labels.contains(&at) {
        true => label(),
        false => ColumnUse::Numeric { mean: 0.0, deviation: 1.0 },
    };
    let name = |at: usize| columns.header.as_ref().map(|names| names[at].clone());
    let column = |at: usize| Column {
        name: name(at).unwrap_or_default(),
        usage: usage(at),
        missing: 0,
        texts_are_missing: false,
    };
    Ok(Some(Schema {
        version: SCHEMA_VERSION,
        header: columns.header.is_some(),
        delimiter: reader.delimiter as char,
        decimal: columns.rules.decimal,
        missing: columns.rules.missing.clone(),
        samples: 0,
        columns: (0..columns.count).map(column).collect(),
    }))
}

impl SampleReader for NumericReader {
    fn next(&mut self, wanted: bool, inputs: &mut Inputs) -> Result<Next, Error> {
        if self.columns.is_none() {
            self.columns = self.look()?;
        }
        let Some(columns) = &self.columns else {
            return Ok(Next::End);
        };
        self.shape = [columns.count - columns.labels.len()];
        let path = self.rows.path().to_owned();
        loop {
            let Some((line, row)) = self.rows.next_row()? else {
                return Ok(Next::End);
            };
            // Files that follow each other in one stream may each have the header.
            if columns.header.as_ref().is_some_and(|header| row.is(header)) {
                continue;
            }
            if row.len() != columns.count {
                return Err(columns_error(&path, line, row.len(), columns.count, "the first line"));
            }
            self.record += 1;
            if !wanted {
                return Ok(Next::Skipped);
            }
            return encode(&path, columns, line, &row, &mut inputs.features).map(Next::Sample);
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn position(&self) -> (&Path, u64) {
        (self.rows.path(), self.record)
    }
}

/// Appends the inputs of a line and gives its label.
fn encode(
    path: &Path,
    columns: &Columns,
    line: u64,
    row: &Row<'_>,
    inputs: &mut Vec<f32>,
) -> Result<Label, Error> {
    let wrong = |column: usize, problem| {
        let name = columns.header.as_ref().and_then(|names| names.get(column));
        value_error(path, line, column, name.map(String::as_str), problem)
    };
    let mut numbers = Vec::with_capacity(columns.labels.len());
    for (column, value) in row.iter().enumerate() {
        let read = columns.rules.number(value).ok_or_else(|| {
            let problem = format!(
                "`{value}` is not a finite number, and nothing was learnt of the columns (there is no master to learn them together, or no \
                 share has a sample): give what is known of the whole with --schema, or write numbers"
            );
            wrong(column, problem)
        })?;
        if columns.labels.contains(&column) {
            numbers.push(read);
        } else {
            inputs.push(read as f32);
        }
    }
    let column = columns.labels.first().copied().unwrap_or_default();
    number_label::label(columns.task, &numbers).map_err(|problem| wrong(column, problem))
}
