//! What the training files teach: which line is a header, and what each column holds.

use std::path::{Path, PathBuf};

use ps_core::schema::{FirstLine, SCHEMA_VERSION, Schema, first_line};

use super::delimiter::{delimiter, doubt, known};
use super::errors::{columns_error, file_error, line_error};
use super::layout::{Places, places};
use super::row::Row;
use super::rows::Rows;
use super::table::Table;
use crate::byte_stream::{ByteStream, open_text};
use crate::limits::COLUMNS_MAX;
use crate::table_options::{HeaderChoice, TableOptions};
use crate::{Error, Wrapper};

/// Which lines teach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// At most so many from the beginning.
    pub(crate) samples_max: u64,
    /// Of those one of every so many, ...
    pub(crate) parts: u64,
    /// ... whose number divided by that leaves this.
    pub(crate) part: u64,
}

impl Extent {
    /// All of the first so many.
    pub(crate) fn first(samples_max: u64) -> Self {
        Self { samples_max, parts: 1, part: 0 }
    }
}

/// Reads the training files for the first time, at most so many samples of them; they are one set.
pub(super) fn learn(
    paths: &[PathBuf],
    options: &TableOptions,
    wrapper: Wrapper,
    samples_max: u64,
) -> Result<Schema, Error> {
    let Some(path) = paths.first() else {
        return Err(Error::Options("no training file to learn the columns from".to_owned()));
    };
    match read(paths, options, wrapper, Extent::first(samples_max))? {
        Some(learnt) => learnt.schema(options),
        None => Err(file_error(path, "the file is empty; expected at least one line of values")),
    }
}

/// Counts what is in these files; `None` where the first has no line.
pub(super) fn read(
    paths: &[PathBuf],
    options: &TableOptions,
    wrapper: Wrapper,
    extent: Extent,
) -> Result<Option<Learnt>, Error> {
    let [path, others @ ..] = paths else { return Ok(None) };
    let delimiter = delimiter(path, wrapper, options)?;
    let mut rows = Rows::new(path, open_text(path, wrapper)?, delimiter);
    let learner = Learner::begin(&mut rows, options, wrapper, delimiter, extent)?;
    let Some(mut learner) = learner else { return Ok(None) };
    for other in others {
        if !learner.is_full() {
            learner.add_file(other)?;
        }
    }
    Ok(Some(learner.learnt))
}

/// Counts what is in a stream.
pub(super) fn read_stream(
    path: &Path,
    text: ByteStream,
    options: &TableOptions,
    wrapper: Wrapper,
    extent: Extent,
) -> Result<Option<Learnt>, Error> {
    let said = known(path, options);
    let delimiter = said.unwrap_or(b',');
    let mut rows = Rows::new(path, text, delimiter);
    if said.is_none()
        && let Some(problem) = doubt(rows.beginning()?)
    {
        return Err(file_error(path, problem));
    }
    let learner = Learner::begin(&mut rows, options, wrapper, delimiter, extent)?;
    Ok(learner.map(|learner| learner.learnt))
}

/// The first line of the first file, which may be a header.
pub(super) struct FirstRow {
    pub(super) path: PathBuf,
    pub(super) line: u64,
    pub(super) values: Vec<String>,
    /// Lines that are equal to it, where a file begins.
    pub(super) repetitions: u64,
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

/// What was counted.
pub(super) struct Learnt {
    pub(super) first: FirstRow,
    pub(super) table: Table,
    pub(super) delimiter: u8,
    /// The first line of the first further file that was taken for the header in another order.
    pub(super) moved: Option<(PathBuf, u64)>,
}

impl Learnt {
    fn schema(mut self, options: &TableOptions) -> Result<Schema, Error> {
        let is_header = is_header(&self.first, &self.table, options)?;
        check_moved(&self.first, self.moved.as_ref(), is_header)?;
        if !is_header {
            // A sample, and so is each line that was taken for its repetition.
            self.table.add_times(&self.first, 1 + self.first.repetitions);
        }
        let Self { first, table, delimiter, .. } = self;
        schema(&first, is_header, table, delimiter, options)
    }
}

/// Whether another order of the same values is that of a header.
pub(super) fn check_moved(
    first: &FirstRow,
    moved: Option<&(PathBuf, u64)>,
    is_header: bool,
) -> Result<(), Error> {
    let Some((path, line)) = moved.filter(|_| !is_header) else { return Ok(()) };
    let problem = format!(
        "this has the values of the first line of {} in another order: are they a header? say --header yes or \
         --header no",
        first.path.display()
    );
    Err(line_error(path, *line, problem))
}

/// What was understood of a table that was counted.
pub(super) fn schema(
    first: &FirstRow,
    is_header: bool,
    table: Table,
    delimiter: u8,
    options: &TableOptions,
) -> Result<Schema, Error> {
    if table.samples() == 0 {
        return Err(file_error(&first.path, "no line of values; expected at least one"));
    }
    let names = is_header.then_some(first.values.as_slice());
    Ok(Schema {
        version: SCHEMA_VERSION,
        header: is_header,
        delimiter: delimiter as char,
        decimal: options.value_rules().decimal,
        missing: options.missing.clone(),
        samples: table.samples(),
        columns: table.columns(&first.path, names, options)?,
    })
}

/// The set of files while it is read.
struct Learner<'a> {
    learnt: Learnt,
    options: &'a TableOptions,
    wrapper: Wrapper,
    extent: Extent,
    /// Lines so far, beside the first.
    lines: u64,
}

impl<'a> Learner<'a> {
    /// Reads the first file; `None` where it has no line.
    fn begin(
        rows: &mut Rows,
        options: &'a TableOptions,
        wrapper: Wrapper,
        delimiter: u8,
        extent: Extent,
    ) -> Result<Option<Self>, Error> {
        let path = rows.path().to_owned();
        let Some((line, first)) = rows.next_row()? else {
            return Ok(None);
        };
        let first = FirstRow::new(&path, line, first)?;
        let table = Table::new(&path, &first.texts(), options)?;
        let learnt = Learnt { first, table, delimiter, moved: None };
        let mut learner = Self { learnt, options, wrapper, extent, lines: 0 };
        learner.add_rows(rows, &None)?;
        Ok(Some(learner))
    }

    /// Takes in a further file, which has the columns of the first: with a header, in any order.
    fn add_file(&mut self, path: &Path) -> Result<(), Error> {
        let mut rows = Rows::new(path, open_text(path, self.wrapper)?, self.learnt.delimiter);
        let Some((line, row)) = rows.next_row()? else {
            return Ok(());
        };
        let mut its_places = None;
        match places(&self.learnt.first.values, &row).filter(|_| self.may_be_header()) {
            Some(Some(other)) if self.may_be_names() => {
                self.learnt.moved.get_or_insert_with(|| (path.to_owned(), line));
                its_places = Some(other);
            }
            Some(None) => self.learnt.first.repetitions += 1,
            _ => self.add_row(path, line, &row, &None)?,
        }
        self.add_rows(&mut rows, &its_places)
    }

    fn is_full(&self) -> bool {
        self.lines >= self.extent.samples_max
    }

    fn may_be_header(&self) -> bool {
        self.options.header != HeaderChoice::No
    }

    /// Whether the same values in another order may be the header: samples of numbers are often so.
    fn may_be_names(&self) -> bool {
        let rules = self.options.value_rules();
        self.options.header == HeaderChoice::Yes
            || self.options.names_a_column()
            || self.learnt.first.values.iter().all(|value| rules.number(value).is_none())
    }

    /// Takes in the lines after the first.
    fn add_rows(&mut self, rows: &mut Rows, places: &Places) -> Result<(), Error> {
        let path = rows.path().to_owned();
        while !self.is_full()
            && let Some((line, row)) = rows.next_row()?
        {
            // A wrapped file is several, each of which may begin with the header.
            let may_repeat = self.wrapper == Wrapper::Recordio && self.may_be_header();
            if may_repeat && row.is(&self.learnt.first.values) {
                self.learnt.first.repetitions += 1;
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
        let first = &self.learnt.first;
        let columns = first.values.len();
        if row.len() != columns {
            let like = first.path.display().to_string();
            return Err(columns_error(path, line, row.len(), columns, &like));
        }
        if self.lines % self.extent.parts == self.extent.part {
            self.learnt.table.add(path, line, row, places.as_deref());
        }
        self.lines += 1;
        Ok(())
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
