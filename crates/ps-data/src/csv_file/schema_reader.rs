//! Lines of a table, read as a schema says that was learnt before.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ps_core::schema::{Column, ColumnUse, Schema};

use super::encode::Encoder;
use super::errors::{columns_error, file_error, value_error};
use super::layout::{places_of_schema, places_without_label};
use super::row::Row;
use super::rows::Rows;
use super::unseen_texts::{UnseenTexts, unseen_texts};
use crate::byte_stream::{decompress, open_text, text};
use crate::{Error, Inputs, Label, Wrapper};

/// Reads a table with the columns of a schema, which it finds by their names where both have a header.
pub struct SchemaReader {
    path: PathBuf,
    rows: Rows,
    schema: Arc<Schema>,
    encoder: Encoder,
    wrapper: Wrapper,
    needs_label: bool,
    at_start: bool,
    /// Where each column is, `None` for one that is not there; unless each is at its own place.
    places: Option<Vec<Option<usize>>>,
    /// How many columns a line has.
    columns: usize,
    line: u64,
    /// Of the present line, in the order of the labels' columns.
    labels: Vec<String>,
    has_labels: bool,
    /// Columns whose texts are kept, where they are, and those of the present line.
    keep: Vec<KeptColumn>,
    keep_at: Vec<Option<usize>>,
    kept: Vec<String>,
}

/// A column whose texts are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptColumn {
    /// Of the training files, by its place there.
    Known(usize),
    /// That only the file which is read has, by the name in its header.
    Named(String),
}

impl SchemaReader {
    /// Reads this file; without labels if they are not needed.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path, schema: Arc<Schema>, needs_label: bool) -> Result<Self, Error> {
        Self::wrapped(path, schema, needs_label, Wrapper::None)
    }

    pub(super) fn wrapped(
        path: &Path,
        schema: Arc<Schema>,
        needs_label: bool,
        wrapper: Wrapper,
    ) -> Result<Self, Error> {
        let rows = Rows::new(path, open_text(path, wrapper)?, schema.delimiter as u8);
        Ok(Self::of_rows(path, rows, schema, needs_label, wrapper))
    }

    /// Reads what comes, which may be gzip; errors call it so.
    ///
    /// # Errors
    /// Nothing can be read.
    pub fn of_reader(
        name: &Path,
        from: impl Read + Send + 'static,
        schema: Arc<Schema>,
        needs_label: bool,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Read { path: name.to_owned(), source };
        let bytes = text(decompress(name, from).map_err(failed)?.0, Wrapper::None);
        let rows = Rows::new(name, bytes, schema.delimiter as u8);
        Ok(Self::of_rows(name, rows, schema, needs_label, Wrapper::None))
    }

    pub(super) fn of_rows(
        path: &Path,
        rows: Rows,
        schema: Arc<Schema>,
        needs_label: bool,
        wrapper: Wrapper,
    ) -> Self {
        Self {
            path: path.to_owned(),
            rows,
            encoder: Encoder::new(&schema),
            wrapper,
            needs_label,
            at_start: true,
            places: None,
            columns: schema.columns.len(),
            line: 0,
            labels: schema.labels().map(|_| String::new()).collect(),
            has_labels: false,
            keep: Vec::new(),
            keep_at: Vec::new(),
            kept: Vec::new(),
            schema,
        }
    }

    /// Keeps the texts of these columns: those of the schema where they are there, others must be.
    pub fn keep(&mut self, columns: Vec<KeptColumn>) {
        self.keep = columns;
    }

    /// The next sample's inputs are appended; `false` at the end.
    ///
    /// # Errors
    /// A line that is not as the schema says.
    pub fn next_sample(&mut self, inputs: &mut Inputs) -> Result<bool, Error> {
        self.advance(Some(inputs))
    }

    /// Passes over the next sample; `false` at the end.
    pub(super) fn skip_sample(&mut self) -> Result<bool, Error> {
        self.advance(None)
    }

    /// Reads the next line; its inputs, if they are wanted.
    fn advance(&mut self, inputs: Option<&mut Inputs>) -> Result<bool, Error> {
        loop {
            let Some((line, row)) = self.rows.next_row()? else {
                return Ok(false);
            };
            // A wrapped file is several, each of which may begin with the header.
            if std::mem::take(&mut self.at_start) || self.wrapper == Wrapper::Recordio {
                if let Some(found) =
                    places_of_schema(&self.path, &self.schema, self.needs_label, &row)?
                {
                    let header: Vec<&str> = row.iter().collect();
                    self.keep_at = places_of_kept(&self.path, &self.keep, &found, &header)?;
                    (self.places, self.columns) = (Some(found), row.len());
                    continue;
                }
                let labels = self.labels.len();
                if !self.needs_label && row.len() + labels == self.schema.columns.len() {
                    (self.places, self.columns) =
                        (Some(places_without_label(&self.schema)), row.len());
                }
                if !self.keep.is_empty() {
                    let own = || (0..self.schema.columns.len()).map(Some).collect();
                    let places = self.places.clone().unwrap_or_else(own);
                    self.keep_at = places_of_kept(&self.path, &self.keep, &places, &[])?;
                }
            }
            if row.len() != self.columns {
                let like = "the training files";
                return Err(columns_error(&self.path, line, row.len(), self.columns, like));
            }
            self.line = line;
            let Some(inputs) = inputs else {
                return Ok(true);
            };
            let places = self.places.as_deref();
            let encoded = self.encoder.inputs(&row, places, inputs);
            let place = |at: usize| places.map_or(Some(at), |places| places[at]);
            self.has_labels = true;
            for (text, at) in self.labels.iter_mut().zip(self.encoder.labels()) {
                text.clear();
                match place(at) {
                    Some(at) => text.push_str(row.get(at)),
                    None => self.has_labels = false,
                }
            }
            self.kept = self.keep_at.iter().map(|at| text_at(&row, *at)).collect();
            return match encoded {
                Ok(()) => Ok(true),
                Err((at, problem)) => Err(self.wrong(at, problem)),
            };
        }
    }

    /// The text of the present line's only or first label, where it has one.
    pub(super) fn label_text(&self) -> Option<&str> {
        self.labels.first().filter(|_| self.has_labels).map(String::as_str)
    }

    /// The texts of the columns that are kept, of the present line.
    pub fn kept(&self) -> &[String] {
        &self.kept
    }

    /// The label of the present line; `None` of a class that training has not seen.
    ///
    /// # Errors
    /// A label that is no number where numbers are expected.
    pub(super) fn label(&self) -> Result<Option<Label>, Error> {
        self.encoder.label(&self.labels).map_err(|(at, problem)| self.wrong(at, problem))
    }

    /// That the present label is none that training has seen.
    pub(super) fn unknown_class(&self) -> Error {
        let label = self.label_text().unwrap_or_default();
        let (at, known) = self
            .schema
            .labels()
            .next()
            .map_or((0, String::new()), |(at, column)| (at, column.words()));
        let problem = format!(
            "label `{label}` does not occur in the {} training samples that the columns were learnt from; {known}; of a stream \
             more samples can be learnt from (--schema-samples), and what is known of the whole can be given (--schema)",
            self.schema.samples
        );
        self.wrong(at, problem)
    }

    /// Inputs of a sample.
    pub fn width(&self) -> usize {
        self.encoder.width()
    }

    /// Tells what there was that training has not seen, of so many samples.
    pub fn tell_unknown(&self, samples: u64) {
        for UnseenTexts { column, count, example } in self.unseen_texts() {
            let path = self.path.display();
            let told = format!(
                "{path}: column `{column}`: {count} of {samples} texts, such as `{example}`, are none that training has \
                 seen: they count as nothing"
            );
            // A few are what happens; many are another column, or other data.
            if count * 10 > samples {
                tracing::warn!("{told}");
            } else {
                tracing::info!("{told}");
            }
        }
    }

    /// Texts that training has not seen, of the samples so far.
    pub fn unseen_texts(&self) -> Vec<UnseenTexts> {
        unseen_texts(&self.schema, &self.encoder)
    }

    /// What is read.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn wrong(&self, at: usize, problem: String) -> Error {
        let name = self.schema.columns.get(at).map(|column| column.name.as_str());
        value_error(&self.path, self.line, at, name, problem)
    }
}

/// Where columns that are kept are in a file with this header, which is empty where it has none.
///
/// # Errors
/// One that only this file can have is not there.
fn places_of_kept(
    path: &Path,
    keep: &[KeptColumn],
    places: &[Option<usize>],
    header: &[&str],
) -> Result<Vec<Option<usize>>, Error> {
    let place = |column: &KeptColumn| match column {
        KeptColumn::Known(at) => Ok(places.get(*at).copied().flatten()),
        KeptColumn::Named(name) => match header.iter().position(|it| it == name) {
            Some(at) => Ok(Some(at)),
            None if header.is_empty() => Err(format!(
                "no column is named `{name}`: the training files have none, and this file has no header"
            )),
            None => {
                Err(format!("no column is named `{name}`; its header is: {}", header.join(", ")))
            }
        },
    };
    let places: Result<_, String> = keep.iter().map(place).collect();
    places.map_err(|problem| file_error(path, problem))
}

fn text_at(row: &Row<'_>, place: Option<usize>) -> String {
    place.map_or_else(String::new, |place| row.get(place).to_owned())
}

/// Columns that nothing is made of, which may say what a sample is.
pub fn unused_columns(schema: &Schema) -> Vec<usize> {
    let unused = |column: &Column| column.usage == ColumnUse::Ignored;
    (0..schema.columns.len()).filter(|at| unused(&schema.columns[*at])).collect()
}
