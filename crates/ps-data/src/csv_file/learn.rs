//! What the training files teach: which line is a header, and what each column holds.

use std::path::{Path, PathBuf};

use ps_core::schema::{FirstLine, SCHEMA_VERSION, Schema, first_line};

use super::delimiter::delimiter;
use super::errors::{columns_error, file_error, line_error};
use super::layout::{Places, places};
use super::row::Row;
use super::rows::Rows;
use super::table::Table;
use crate::byte_stream::open_text;
use crate::limits::COLUMNS_MAX;
use crate::table_options::{HeaderChoice, TableOptions};
use crate::{Error, Wrapper};

/// Reads the training files for the first time, at most so many samples of them; they are one set.
pub(super) fn learn(
    paths: &[PathBuf],
    options: &TableOptions,
    wrapper: Wrapper,
    samples_max: u64,
) -> Result<Schema, Error> {
    let [path, others @ ..] = paths else {
        return Err(Error::Options("no training file to learn the columns from".to_owned()));
    };
    let delimiter = delimiter(path, wrapper, options)?;
    let mut rows = Rows::new(path, open_text(path, wrapper)?, delimiter);
    let Some((line, first)) = rows.next_row()? else {
        return Err(file_error(path, "the file is empty; expected at least one line of values"));
    };
    let first = FirstRow::new(path, line, first)?;
    let table = Table::new(path, &first.texts(), options)?;
    let mut learner =
        Learner { first, table, options, wrapper, delimiter, samples_max, moved: None };
    learner.add_rows(&mut rows, &None)?;
    for other in others {
        if !learner.is_full() {
            learner.add_file(other)?;
        }
    }
    learner.schema()
}

/// The first line of the first file, which may be a header.
pub(super) struct FirstRow {
    path: PathBuf,
    line: u64,
    values: Vec<String>,
    /// Lines that are equal to it, where a file begins.
    repetitions: u64,
}

impl FirstRow {
    /// A first line.
    ///
    /// # Errors
    /// It has too few or too many columns.
    pub(super) fn new(path: &Path, line: u64, row: Row<'_>) -> Result<Self, Error> {
        let columns = row.len();
        if !(2..=COLUMNS_MAX).contains(&columns) {
            let problem = format!(
                "{columns} columns, expected 2 to {COLUMNS_MAX}: inputs and one label; are they separated by something \
                 else than --delimiter says?"
            );
            return Err(line_error(path, line, problem));
        }
        Ok(Self::of(path, line, row.to_texts()))
    }

    /// A line with these values.
    pub(super) fn of(path: &Path, line: u64, values: Vec<String>) -> Self {
        Self { path: path.to_owned(), line, values, repetitions: 0 }
    }

    /// Its values.
    pub(super) fn texts(&self) -> Vec<&str> {
        self.values.iter().map(String::as_str).collect()
    }

    /// The same, as a line.
    pub(super) fn with_row<T>(&self, take: impl FnOnce(Row<'_>) -> T) -> T {
        Row::with_texts(&self.values, take)
    }
}

/// The set of files while it is read.
struct Learner<'a> {
    first: FirstRow,
    table: Table,
    options: &'a TableOptions,
    wrapper: Wrapper,
    delimiter: u8,
    samples_max: u64,
    /// The first line of the first further file that was taken for the header in another order.
    moved: Option<(PathBuf, u64)>,
}

impl Learner<'_> {
    /// Takes in a further file, which has the columns of the first: with a header, in any order.
    fn add_file(&mut self, path: &Path) -> Result<(), Error> {
        let mut rows = Rows::new(path, open_text(path, self.wrapper)?, self.delimiter);
        let Some((line, row)) = rows.next_row()? else {
            return Ok(());
        };
        let mut its_places = None;
        match places(&self.first.values, &row).filter(|_| self.may_be_header()) {
            Some(Some(other)) if self.may_be_names() => {
                self.moved.get_or_insert_with(|| (path.to_owned(), line));
                its_places = Some(other);
            }
            Some(None) => self.first.repetitions += 1,
            _ => self.add_row(path, line, &row, &None)?,
        }
        self.add_rows(&mut rows, &its_places)
    }

    fn is_full(&self) -> bool {
        self.table.samples() >= self.samples_max
    }

    fn may_be_header(&self) -> bool {
        self.options.header != HeaderChoice::No
    }

    /// Whether the same values in another order may be the header: samples of numbers are often so.
    fn may_be_names(&self) -> bool {
        let rules = self.options.value_rules();
        self.options.header == HeaderChoice::Yes
            || self.options.names_a_column()
            || self.first.values.iter().all(|value| rules.number(value).is_none())
    }

    /// Takes in the lines after the first.
    fn add_rows(&mut self, rows: &mut Rows, places: &Places) -> Result<(), Error> {
        let path = rows.path().to_owned();
        while !self.is_full()
            && let Some((line, row)) = rows.next_row()?
        {
            // A wrapped file is several, each of which may begin with the header.
            let may_repeat = self.wrapper == Wrapper::Recordio && self.may_be_header();
            if may_repeat && row.is(&self.first.values) {
                self.first.repetitions += 1;
            } else {
                self.add_row(&path, line, &row, places)?;
            }
        }
        Ok(())
    }

    fn add_row(
        &mut self,
        path: &Path,
        line: u64,
        row: &Row<'_>,
        places: &Places,
    ) -> Result<(), Error> {
        let columns = self.first.values.len();
        if row.len() != columns {
            let like = self.first.path.display().to_string();
            return Err(columns_error(path, line, row.len(), columns, &like));
        }
        self.table.add(path, line, row, places.as_deref());
        Ok(())
    }

    fn schema(mut self) -> Result<Schema, Error> {
        let is_header = is_header(&self.first, &self.table, self.options)?;
        if let Some((path, line)) = self.moved.filter(|_| !is_header) {
            let problem = format!(
                "this has the values of the first line of {} in another order: are they a header? say --header yes or \
                 --header no",
                self.first.path.display()
            );
            return Err(line_error(&path, line, problem));
        }
        if !is_header {
            // A sample, and so is each line that was taken for its repetition.
            for _ in 0..=self.first.repetitions {
                let (path, line) = (&self.first.path, self.first.line);
                self.first.with_row(|row| self.table.add(path, line, &row, None));
            }
        }
        if self.table.samples() == 0 {
            return Err(file_error(&self.first.path, "no line of values; expected at least one"));
        }
        let names = is_header.then_some(self.first.values.as_slice());
        Ok(Schema {
            version: SCHEMA_VERSION,
            header: is_header,
            delimiter: self.delimiter as char,
            decimal: self.options.value_rules().decimal,
            missing: self.options.missing.clone(),
            samples: self.table.samples(),
            columns: self.table.columns(&self.first.path, names, self.options)?,
        })
    }
}

/// Whether the first line is a header.
///
/// # Errors
/// Nobody can say.
pub(super) fn is_header(
    first: &FirstRow,
    table: &Table,
    options: &TableOptions,
) -> Result<bool, Error> {
    match options.header {
        HeaderChoice::Yes => return Ok(true),
        HeaderChoice::No if options.names_a_column() => {
            let problem = "--header no: a column is chosen by its name, which only a header tells; give its number";
            return Err(Error::Options(problem.to_owned()));
        }
        HeaderChoice::No => return Ok(false),
        HeaderChoice::Auto if options.names_a_column() => return Ok(true),
        HeaderChoice::Auto => (),
    }
    match first_line(&first.texts(), &table.summaries(), &options.value_rules()) {
        FirstLine::Header => Ok(true),
        FirstLine::Sample => Ok(false),
        FirstLine::Doubtful(why) => {
            let problem = format!(
                "this may be a header or a sample: it has {why}; say --header yes or --header no"
            );
            Err(line_error(&first.path, first.line, problem))
        }
    }
}
