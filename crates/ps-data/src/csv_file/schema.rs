//! What the training files teach: which line is a header, and what each column holds.

use std::path::{Path, PathBuf};

use csv::StringRecord;

use super::column::{ColumnEncoding, ColumnStatistics, FileLine};
use super::errors::{column_name, columns_error, file_error, value_error};
use super::header::FirstRow;
use super::label::{Classes, DistinctLabels, LabelColumn};
use super::rows::Rows;
use crate::byte_stream::open_text;
use crate::{Error, Wrapper};

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
    pub(super) encodings: Vec<(usize, ColumnEncoding)>,
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
        let mut rows = Rows::new(path, open_text(path, wrapper)?);
        let Some((line, first)) = rows.next_row()? else {
            return Err(file_error(
                path,
                "the file is empty; expected at least one line of values",
            ));
        };
        let first = FirstRow::new(path, line, first, label)?;
        let statistics = TableStatistics::new(first.columns(), first.label());
        let mut builder = SchemaBuilder { first, statistics, wrapper };
        builder.add_rows(&mut rows)?;
        for other in others {
            builder.add_file(other)?;
        }
        builder.build()
    }

    /// Inputs made from one line.
    pub(super) fn width(&self) -> usize {
        self.encodings.iter().map(|(_, encoding)| encoding.width()).sum()
    }
}

/// The set of files while it is read.
struct SchemaBuilder {
    first: FirstRow,
    statistics: TableStatistics,
    wrapper: Wrapper,
}

impl SchemaBuilder {
    /// Takes in a further file, which has the same header as the first, or none.
    fn add_file(&mut self, path: &Path) -> Result<(), Error> {
        let mut rows = Rows::new(path, open_text(path, self.wrapper)?);
        let Some((line, row)) = rows.next_row()? else {
            return Ok(());
        };
        let columns = self.first.columns();
        if row.len() != columns {
            let like = self.first.path().display().to_string();
            return Err(columns_error(path, line, row.len(), columns, &like));
        }
        if !self.first.is_repeated_by(&row) {
            self.add_row(path, line, &row);
        }
        self.first.compare_first(path, line, &row);
        self.add_rows(&mut rows)
    }

    /// Takes in the lines after the first.
    fn add_rows(&mut self, rows: &mut Rows) -> Result<(), Error> {
        let path = rows.path().to_owned();
        while let Some((line, row)) = rows.next_row()? {
            if self.wrapper == Wrapper::Recordio && self.first.is_repeated_by(&row) {
                self.first.repeated();
            } else {
                self.add_row(&path, line, &row);
            }
        }
        Ok(())
    }

    fn add_row(&mut self, path: &Path, line: u64, row: &StringRecord) {
        self.first.compare(row);
        self.statistics.add(path, line, row);
    }

    fn build(mut self) -> Result<Schema, Error> {
        if let Some((path, problem)) = self.first.odd_header() {
            return Err(file_error(path, problem));
        }
        if self.first.is_header() {
            return self.statistics.schema(self.first.path(), Some(self.first.names()));
        }
        // Not a header: a sample, and so is each line that was taken for its repetition.
        let (path, line, row) = self.first.sample();
        for _ in 0..=self.first.repetitions() {
            self.statistics.add(path, line, row);
        }
        self.statistics.schema(path, None)
    }
}

/// All columns while the files are read.
struct TableStatistics {
    label: usize,
    labels: DistinctLabels,
    /// The first line without a label.
    unlabelled: Option<FileLine>,
    /// One for each column; that of the label stays empty.
    columns: Vec<ColumnStatistics>,
}

impl TableStatistics {
    fn new(columns: usize, label: usize) -> Self {
        let columns = (0..columns).map(|_| ColumnStatistics::default()).collect();
        Self { label, labels: DistinctLabels::default(), unlabelled: None, columns }
    }

    fn add(&mut self, path: &Path, line: u64, row: &StringRecord) {
        for (column, value) in row.iter().enumerate() {
            if column == self.label {
                if value.is_empty() && self.unlabelled.is_none() {
                    self.unlabelled = Some((path.to_owned(), line));
                }
                self.labels.add(value);
            } else {
                self.columns[column].add(path, line, value);
            }
        }
    }

    fn schema(self, path: &Path, names: Option<Vec<String>>) -> Result<Schema, Error> {
        let Self { label, labels, unlabelled, columns } = self;
        if let Some((path, line)) = unlabelled {
            let problem = "the label is empty; a sample without one teaches nothing: remove it, or \
                           name another column with --label";
            return Err(value_error(&path, line, label, names.as_deref(), problem.to_owned()));
        }
        let count = columns.len();
        let mut encodings = Vec::with_capacity(count);
        for (column, statistics) in columns.into_iter().enumerate() {
            if column != label {
                let encoding = statistics.encoding().map_err(|((path, line), problem)| {
                    value_error(&path, line, column, names.as_deref(), problem)
                })?;
                encodings.push((column, encoding));
            }
        }
        let classes = labels.classes().map_err(|problem| {
            let column = column_name(label, names.as_deref());
            file_error(path, format!("label in {column}: {problem}"))
        })?;
        Ok(Schema { names, columns: count, label, classes, encodings })
    }
}
