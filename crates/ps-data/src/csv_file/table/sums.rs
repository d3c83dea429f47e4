//! A table's counts, as they are sent and added up.

use std::path::{Path, PathBuf};

use ps_core::schema::{ColumnSums, LabelSummary, LinePlace, TableSums};

use super::{FileLine, Table};
use crate::Error;
use crate::csv_file::errors::file_error;
use crate::csv_file::learn::FirstRow;
use crate::table_options::TableOptions;

/// A line, told by whom.
pub(in crate::csv_file) fn told(who: &str, path: &Path, line: u64) -> LinePlace {
    LinePlace { file: format!("{who}: {}", path.display()), line }
}

fn file_line(place: LinePlace) -> FileLine {
    (PathBuf::from(place.file), place.line)
}

impl Table {
    /// What was counted, without first lines.
    pub(in crate::csv_file) fn into_sums(self, who: &str, delimiter: u8) -> TableSums {
        let mut labels = self.labels;
        let told = |(path, line): &FileLine| told(who, path, *line);
        let column = |(at, (_, values)): (usize, (_, _))| {
            let label = labels.iter().position(|(label, _)| *label == at);
            ColumnSums {
                beginnings: Vec::new(),
                values,
                label: label.map(|label| labels.swap_remove(label).1),
                text: self.first_texts[at].as_ref().map(|(at, text)| (told(at), text.clone())),
            }
        };
        TableSums {
            delimiter,
            samples: self.samples,
            beginnings: Vec::new(),
            unlabelled: self.unlabelled.as_ref().map(|(place, label)| (told(place), *label)),
            columns: self.columns.into_iter().enumerate().map(column).collect(),
        }
    }

    /// A table with this first line, of which this was counted.
    ///
    /// # Errors
    /// Another column is the label.
    pub(in crate::csv_file) fn of_sums(
        sums: &TableSums,
        first: &FirstRow,
        options: &TableOptions,
    ) -> Result<Self, Error> {
        let mut table = Self::new(&first.path, &first.texts(), options)?;
        for (label, summary) in &mut table.labels {
            let counted: Option<&LabelSummary> = sums.columns[*label].label.as_ref();
            *summary = counted.cloned().ok_or_else(|| {
                let problem = format!(
                    "column {} is the label here, and not where it was counted: give all members the same --label",
                    *label + 1
                );
                file_error(&first.path, problem)
            })?;
        }
        for (at, column) in sums.columns.iter().enumerate() {
            table.columns[at].1 = column.values.clone();
            let text = column.text.clone();
            table.first_texts[at] = text.map(|(place, text)| (file_line(place), text));
        }
        let unlabelled = sums.unlabelled.clone();
        table.unlabelled = unlabelled.map(|(place, label)| (file_line(place), label));
        table.samples = sums.samples;
        Ok(table)
    }
}
