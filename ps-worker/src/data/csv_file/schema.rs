//! What the training file teaches: which line is a header, and what each column holds.

use std::path::Path;

use csv::StringRecord;

use super::super::Error;
use super::super::columns::{Encoding, Statistics};
use super::super::limits::COLUMNS_MAX;
use super::header::FirstRow;
use super::label::{Classes, LabelColumn, LabelTexts};
use super::rows::Rows;
use super::{place, table, value_error};

/// What the training file taught.
pub(super) struct Schema {
    /// Column names, if there is a header.
    pub(super) names: Option<Vec<String>>,
    /// Columns of a line, the label included.
    pub(super) columns: usize,
    /// Which one is the label.
    pub(super) label: usize,
    pub(super) classes: Classes,
    /// How to encode each column, in order; without the label.
    pub(super) encodings: Vec<(usize, Encoding)>,
}

impl Schema {
    /// Reads the training file for the first time.
    pub(super) fn learn(path: &Path, label: &LabelColumn) -> Result<Self, Error> {
        let mut rows = Rows::open(path)?;
        let Some((first_line, first)) = rows.next_row()? else {
            return Err(table(path, "the file is empty; expected at least one line of values"));
        };
        let columns = first.len();
        if !(2..=COLUMNS_MAX).contains(&columns) {
            let problem = format!(
                "{columns} columns in line {first_line}, expected 2 to {COLUMNS_MAX}, separated by \
                 commas: inputs and one label"
            );
            return Err(table(path, problem));
        }
        let label_column = label.position(&first).map_err(|problem| table(path, problem))?;
        let mut first_row = FirstRow::new(&first, matches!(label, LabelColumn::Name(_)));
        let mut survey = Survey::new(columns, label_column);
        while let Some((line, row)) = rows.next_row()? {
            first_row.compare(&row);
            survey.add(line, &row);
        }
        if first_row.is_header() {
            let names = first.iter().map(str::to_owned).collect();
            return survey.schema(path, Some(names));
        }
        survey.add(first_line, &first);
        survey.schema(path, None)
    }
}

/// All columns while the file is read.
struct Survey {
    label: usize,
    texts: LabelTexts,
    /// One for each column; that of the label stays empty.
    statistics: Vec<Statistics>,
}

impl Survey {
    fn new(columns: usize, label: usize) -> Self {
        let statistics = (0..columns).map(|_| Statistics::default()).collect();
        Self { label, texts: LabelTexts::default(), statistics }
    }

    fn add(&mut self, line: u64, row: &StringRecord) {
        for (column, value) in row.iter().enumerate() {
            if column == self.label {
                self.texts.add(value);
            } else {
                self.statistics[column].add(line, value);
            }
        }
    }

    fn schema(self, path: &Path, names: Option<Vec<String>>) -> Result<Schema, Error> {
        let Self { label, texts, statistics } = self;
        let columns = statistics.len();
        let mut encodings = Vec::with_capacity(columns);
        for (column, statistics) in statistics.into_iter().enumerate() {
            if column != label {
                let encoding = statistics.encoding().map_err(|(line, problem)| {
                    value_error(path, line, column, names.as_deref(), problem)
                })?;
                encodings.push((column, encoding));
            }
        }
        let classes = texts.classes().map_err(|problem| {
            let place = place(label, names.as_deref());
            table(path, format!("label in {place}: {problem}"))
        })?;
        Ok(Schema { names, columns, label, classes, encodings })
    }
}
