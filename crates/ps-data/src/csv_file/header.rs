//! Whether the first line of CSV files is a header.

use std::path::{Path, PathBuf};

use csv::StringRecord;

use super::column::number;
use super::errors::file_error;
use super::label::LabelColumn;
use crate::Error;
use crate::limits::COLUMNS_MAX;

/// The first line of the first file, compared with all that follow.
///
/// It is a header if the label's column is given by its name. Otherwise it is one if none of its
/// values is a number and either the second line has one, or no value of it occurs again in its
/// column, as the texts of a real sample nearly always would. The first line of a further file that
/// is equal to it is that header once more.
///
/// Where every sample must be numbers, lines after the first decide nothing: a first line that may
/// be a header is one, or else no sample.
pub(super) struct FirstRow {
    path: PathBuf,
    line: u64,
    values: StringRecord,
    label: usize,
    all_texts: bool,
    /// The label's name has been found in it.
    has_label_name: bool,
    second_has_number: Option<bool>,
    occurs_again: bool,
    repetitions: u64,
    /// The first of the further files that begins with texts, but not with these.
    other_texts: Option<OtherTexts>,
}

/// The first line of a further file that may be another header.
struct OtherTexts {
    path: PathBuf,
    line: u64,
    values: StringRecord,
    occurs_again: bool,
}

impl FirstRow {
    /// A first line.
    ///
    /// # Errors
    /// It has too few or too many columns, or no such label.
    pub(super) fn new(
        path: &Path,
        line: u64,
        values: StringRecord,
        label: &LabelColumn,
    ) -> Result<Self, Error> {
        let columns = values.len();
        if !(2..=COLUMNS_MAX).contains(&columns) {
            let problem = format!(
                "{columns} columns in line {line}, expected 2 to {COLUMNS_MAX}, separated by \
                 commas: inputs and one label"
            );
            return Err(file_error(path, problem));
        }
        Ok(Self {
            path: path.to_owned(),
            line,
            label: label.position(&values).map_err(|problem| file_error(path, problem))?,
            all_texts: all_texts(&values),
            has_label_name: matches!(label, LabelColumn::Name(_)),
            values,
            second_has_number: None,
            occurs_again: false,
            repetitions: 0,
            other_texts: None,
        })
    }

    /// The label's column.
    pub(super) fn label(&self) -> usize {
        self.label
    }

    /// How many columns there are.
    pub(super) fn columns(&self) -> usize {
        self.values.len()
    }

    /// Takes in a line that follows.
    pub(super) fn compare(&mut self, row: &StringRecord) {
        self.second_has_number
            .get_or_insert_with(|| row.iter().any(|value| number(value).is_some()));
        if self.all_texts && !self.occurs_again {
            self.occurs_again = shares_a_value(&self.values, row);
        }
        if let Some(other) = self.other_texts.as_mut().filter(|other| !other.occurs_again) {
            other.occurs_again = shares_a_value(&other.values, row);
        }
    }

    /// Takes in the first line of a further file, after [`FirstRow::compare`].
    pub(super) fn compare_first(&mut self, path: &Path, line: u64, row: &StringRecord) {
        if self.is_repeated_by(row) {
            self.repetitions += 1;
        } else if self.other_texts.is_none() && all_texts(row) {
            let (path, values) = (path.to_owned(), row.clone());
            self.other_texts = Some(OtherTexts { path, line, values, occurs_again: false });
        }
    }

    /// Takes in a line that repeats this one.
    pub(super) fn repeated(&mut self) {
        self.repetitions += 1;
    }

    /// Whether it may be a header, as far as it says itself.
    pub(super) fn may_be_header(&self) -> bool {
        self.has_label_name || self.all_texts
    }

    /// Whether this line may be the same header once more.
    pub(super) fn is_repeated_by(&self, row: &StringRecord) -> bool {
        self.may_be_header() && *row == self.values
    }

    /// The verdict, after the last line.
    pub(super) fn is_header(&self) -> bool {
        let has_number = self.second_has_number == Some(true);
        self.has_label_name || (self.all_texts && (has_number || !self.occurs_again))
    }

    /// The file with another header than the first file's, and what to say of it; after the last
    /// line. In files of texts alone, a first line of texts is as good as any other.
    pub(super) fn odd_header(&self) -> Option<(&Path, String)> {
        let other = self.other_texts.as_ref().filter(|other| !other.occurs_again)?;
        let (path, line) = (&other.path, other.line);
        let numbers = self.second_has_number == Some(true) || !self.all_texts;
        if !numbers && !self.has_label_name {
            return None;
        }
        let first = self.path.display();
        let expected = match self.is_header() {
            true => format!("the header of {first}, which is: {}", self.names().join(", ")),
            false => format!("values, because {first} has no header"),
        };
        let problem = format!(
            "texts alone in line {line}, expected {expected}; all files of a set must have the \
             same header or none"
        );
        Some((path, problem))
    }

    /// The file of this line.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How many further files began with the same line.
    pub(super) fn repetitions(&self) -> u64 {
        self.repetitions
    }

    /// The line with its place, when it is a sample.
    pub(super) fn sample(&self) -> (&Path, u64, &StringRecord) {
        (&self.path, self.line, &self.values)
    }

    /// The names of the columns, when it is a header.
    pub(super) fn names(&self) -> Vec<String> {
        self.values.iter().map(str::to_owned).collect()
    }
}

/// Whether a value of one line is in the same column of the other.
fn shares_a_value(one: &StringRecord, other: &StringRecord) -> bool {
    one.iter().zip(other).any(|(one, other)| one == other)
}

fn all_texts(row: &StringRecord) -> bool {
    row.iter().all(|value| !value.is_empty() && number(value).is_none())
}
