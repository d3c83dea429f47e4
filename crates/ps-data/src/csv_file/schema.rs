//! What the training files teach: which line is a header, and what each column holds.

use std::path::{Path, PathBuf};

use csv::StringRecord;

use super::super::columns::{Encoding, Place, Statistics};
use super::super::limits::COLUMNS_MAX;
use super::super::{Error, Wrapper, input};
use super::header::FirstRow;
use super::label::{Classes, LabelColumn, LabelTexts};
use super::rows::Rows;
use super::{place, table, value_error};

/// What the training files taught.
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
    /// Reads the training files for the first time; they are one set.
    pub(super) fn learn(
        paths: &[PathBuf],
        label: &LabelColumn,
        wrapper: Wrapper,
    ) -> Result<Self, Error> {
        let [path, others @ ..] = paths else {
            return Err(Error::Options("no training file to learn the columns from".to_owned()));
        };
        let mut rows = Rows::new(path, input::open_text(path, wrapper)?);
        let Some((line, first)) = rows.next_row()? else {
            return Err(table(path, "the file is empty; expected at least one line of values"));
        };
        let columns = first.len();
        if !(2..=COLUMNS_MAX).contains(&columns) {
            let problem = format!(
                "{columns} columns in line {line}, expected 2 to {COLUMNS_MAX}, separated by \
                 commas: inputs and one label"
            );
            return Err(table(path, problem));
        }
        let label_column = label.position(&first).map_err(|problem| table(path, problem))?;
        let certain = matches!(label, LabelColumn::Name(_));
        let first = FirstRow::new(path, line, first, certain);
        let mut learning = Learning { first, survey: Survey::new(columns, label_column), wrapper };
        learning.rest(&mut rows)?;
        for other in others {
            learning.file(other)?;
        }
        learning.schema()
    }

    /// Inputs made from one line.
    pub(super) fn width(&self) -> usize {
        self.encodings.iter().map(|(_, encoding)| encoding.width()).sum()
    }
}

/// The set of files while it is read.
struct Learning {
    first: FirstRow,
    survey: Survey,
    wrapper: Wrapper,
}

impl Learning {
    /// Takes in a further file, which has the same header as the first, or none.
    fn file(&mut self, path: &Path) -> Result<(), Error> {
        let mut rows = Rows::new(path, input::open_text(path, self.wrapper)?);
        let Some((line, row)) = rows.next_row()? else {
            return Ok(());
        };
        let columns = self.survey.statistics.len();
        if row.len() != columns {
            let problem = format!(
                "{} columns in line {line}, expected {columns} as in {}",
                row.len(),
                self.first.path().display()
            );
            return Err(table(path, problem));
        }
        if !self.first.is_repeated_by(&row) {
            self.row(path, line, &row);
        }
        self.first.compare_first(path, line, &row);
        self.rest(&mut rows)
    }

    /// Takes in the lines after the first.
    fn rest(&mut self, rows: &mut Rows) -> Result<(), Error> {
        let path = rows.path().to_owned();
        while let Some((line, row)) = rows.next_row()? {
            if self.wrapper == Wrapper::Recordio && self.first.is_repeated_by(&row) {
                self.first.repeated();
            } else {
                self.row(&path, line, &row);
            }
        }
        Ok(())
    }

    fn row(&mut self, path: &Path, line: u64, row: &StringRecord) {
        self.first.compare(row);
        self.survey.add(path, line, row);
    }

    fn schema(mut self) -> Result<Schema, Error> {
        if let Some((path, problem)) = self.first.odd_header() {
            return Err(table(path, problem));
        }
        if self.first.is_header() {
            return self.survey.schema(self.first.path(), Some(self.first.names()));
        }
        // Not a header: a sample, and so is each line that was taken for its repetition.
        let (path, line, row) = self.first.sample();
        for _ in 0..=self.first.repetitions() {
            self.survey.add(path, line, row);
        }
        self.survey.schema(path, None)
    }
}

/// All columns while the files are read.
struct Survey {
    label: usize,
    texts: LabelTexts,
    /// The first line without a label.
    unlabelled: Option<Place>,
    /// One for each column; that of the label stays empty.
    statistics: Vec<Statistics>,
}

impl Survey {
    fn new(columns: usize, label: usize) -> Self {
        let statistics = (0..columns).map(|_| Statistics::default()).collect();
        Self { label, texts: LabelTexts::default(), unlabelled: None, statistics }
    }

    fn add(&mut self, path: &Path, line: u64, row: &StringRecord) {
        for (column, value) in row.iter().enumerate() {
            if column == self.label {
                if value.is_empty() && self.unlabelled.is_none() {
                    self.unlabelled = Some((path.to_owned(), line));
                }
                self.texts.add(value);
            } else {
                self.statistics[column].add(path, line, value);
            }
        }
    }

    fn schema(self, path: &Path, names: Option<Vec<String>>) -> Result<Schema, Error> {
        let Self { label, texts, unlabelled, statistics } = self;
        if let Some((path, line)) = unlabelled {
            let problem = "the label is empty; a sample without one teaches nothing: remove it, or \
                           name another column with --label";
            return Err(value_error(&path, line, label, names.as_deref(), problem.to_owned()));
        }
        let columns = statistics.len();
        let mut encodings = Vec::with_capacity(columns);
        for (column, statistics) in statistics.into_iter().enumerate() {
            if column != label {
                let encoding = statistics.encoding().map_err(|((path, line), problem)| {
                    value_error(&path, line, column, names.as_deref(), problem)
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
