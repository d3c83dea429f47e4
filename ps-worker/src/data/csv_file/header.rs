//! Whether the first line of a CSV file is a header.

use csv::StringRecord;

use super::super::columns::number;

/// The first line, compared with all that follow.
///
/// It is a header if none of its values is a number and either the second line has one, or no value
/// of it occurs again in its column, as the texts of a real sample nearly always would.
pub(super) struct FirstRow {
    values: StringRecord,
    all_texts: bool,
    certain: bool,
    second_has_number: Option<bool>,
    occurs_again: bool,
}

impl FirstRow {
    /// A first line; `certain` when it is known to hold names.
    pub(super) fn new(values: &StringRecord, certain: bool) -> Self {
        let all_texts = values.iter().all(|value| !value.is_empty() && number(value).is_none());
        let values = values.clone();
        Self { values, all_texts, certain, second_has_number: None, occurs_again: false }
    }

    /// Takes in a line that follows.
    pub(super) fn compare(&mut self, row: &StringRecord) {
        self.second_has_number
            .get_or_insert_with(|| row.iter().any(|value| number(value).is_some()));
        if self.all_texts && !self.occurs_again {
            self.occurs_again = self.values.iter().zip(row).any(|(name, value)| name == value);
        }
    }

    /// The verdict, after the last line.
    pub(super) fn is_header(&self) -> bool {
        let has_number = self.second_has_number == Some(true);
        self.certain || (self.all_texts && (has_number || !self.occurs_again))
    }
}
