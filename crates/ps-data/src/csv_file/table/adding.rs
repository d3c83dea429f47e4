//! Lines are taken in, one after another.

use std::path::Path;

use ps_core::schema::Value;

use super::{Said, Table};
use crate::csv_file::learn::FirstRow;
use crate::csv_file::row::Row;

impl Table {
    /// Takes in a first line as a sample, so many times.
    pub(in crate::csv_file) fn add_times(&mut self, first: &FirstRow, times: u64) {
        for _ in 0..times {
            first.with_row(|row| self.add(&first.path, first.line, &row, None));
        }
    }

    /// Takes in a line, whose values are at these places.
    pub(in crate::csv_file) fn add(
        &mut self,
        path: &Path,
        line: u64,
        row: &Row<'_>,
        places: Option<&[usize]>,
    ) {
        let place = |at: usize| places.map_or(at, |places| places[at]);
        self.samples += 1;
        // First all texts become numbers, then these are summed up: many divisions one after another wait for nothing.
        for (at, number) in self.numbers.iter_mut().enumerate() {
            *number = self.rules.plain_number(row.bytes(place(at))).unwrap_or(f64::NAN);
        }
        for at in 0..self.columns.len() {
            let (said, summary) = &mut self.columns[at];
            let (number, said) = (self.numbers[at], *said);
            if number.is_nan() || said == Said::Label || said == Said::Categorical {
                self.add_value(at, row.get(place(at)), path, line);
            } else {
                summary.add_number(number, || row.get(place(at)));
            }
        }
    }

    /// Takes in a value of a column, which may be anything.
    fn add_value(&mut self, at: usize, value: &str, path: &Path, line: u64) {
        let place = || (path.to_owned(), line);
        if let Some((_, labels)) = self.labels.iter_mut().find(|(label, _)| *label == at) {
            match value {
                // What is missing in other columns may be the name of a class here, unless the user says what it is.
                missing
                    if missing.is_empty() || self.rules.missing.iter().any(|it| it == missing) =>
                {
                    _ = self.unlabelled.get_or_insert_with(|| (place(), at))
                }
                label => labels.add(label, &self.rules),
            }
        }
        let (said, summary) = &mut self.columns[at];
        let texts = summary.texts;
        let meant = match (*said, self.rules.value(value)) {
            (Said::Numeric, Value::Text(_)) => Value::Missing,
            (Said::Categorical, Value::Number(_)) => Value::Text(value),
            (_, meant) => meant,
        };
        summary.add(value, meant);
        if summary.texts > texts && self.first_texts[at].is_none() {
            self.first_texts[at] = Some((place(), value.to_owned()));
        }
    }
}
