//! Sums of a table, cut into parts that fit into messages.

use super::column::ColumnSummary;
use super::label::LabelSummary;
use super::moments::Moments;
use super::sums::{BeginningLine, COLUMNS_MAX, ColumnSums, LinePlace, TableSums};
use crate::limits::{LABEL_CLASSES_MAX, LEARNT_TEXT_BYTES_MAX, NAMED_CATEGORIES_MAX};
use serde::{Deserialize, Serialize};

/// Respelt labels that are told.
const RESPELT_MAX: usize = 4;

/// Bytes of first numbers, as texts, that a table's columns are sent with; they matter only where texts come in other shares.
const EARLY_BYTES_MAX: usize = 1 << 20;

/// What an entry may take in a message beside its text.
const ENTRY_BYTES: usize = 24;

/// What a column may take beside its texts.
const COLUMN_BYTES: usize = 256;

/// A text, and how often it occurs.
pub type TextCount = (String, u64);

/// A part of what was counted in a column; of several parts the first has all but the rest of the texts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnPart {
    /// Which column, from 0.
    pub column: usize,
    /// Its value in each of the table's first lines.
    pub beginnings: Vec<String>,
    /// Its numbers.
    pub numbers: Moments,
    /// Texts, missing values, numbers that are not among the distinct values.
    pub counts: [u64; 3],
    /// Distinct values.
    pub distinct: Vec<TextCount>,
    /// How often there was another one.
    pub others: u64,
    /// First numbers.
    pub early: Vec<TextCount>,
    /// Whether it is a label.
    pub is_label: bool,
    /// Labels that are numbers.
    pub label_numbers: Moments,
    /// Labels that are whole, no numbers, flags.
    pub label_counts: [u64; 3],
    /// Distinct classes.
    pub classes: Vec<TextCount>,
    /// How often there was another one.
    pub other_classes: u64,
    /// Labels that are written in another way than their class.
    pub respelt: Vec<TextCount>,
    /// The first text, and where it is.
    pub text: Option<(LinePlace, String)>,
}

/// A part of what was counted in a table: what is added up of all parts is the whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TablePart {
    /// How many columns the table has.
    pub columns: usize,
    /// What stands between two values.
    pub delimiter: u8,
    /// Of the first part: lines beside the first ones.
    pub samples: u64,
    /// Of the first part: distinct first lines of files.
    pub beginnings: Vec<BeginningLine>,
    /// Of the first part: the first line without a label, and the label's column.
    pub unlabelled: Option<(LinePlace, usize)>,
    /// Some columns, or parts of them.
    pub sums: Vec<ColumnPart>,
}

impl TablePart {
    /// Bytes that it takes, about.
    pub fn bytes(&self) -> usize {
        self.sums.iter().map(ColumnPart::bytes).sum()
    }
}

impl ColumnPart {
    fn bytes(&self) -> usize {
        let lists = [&self.distinct, &self.early, &self.classes, &self.respelt];
        let texts = lists.into_iter().flatten().map(|(text, _)| text.len() + ENTRY_BYTES);
        let beginnings = self.beginnings.iter().map(|text| text.len() + ENTRY_BYTES);
        let text = self.text.as_ref().map_or(0, |(place, text)| place.file.len() + text.len());
        COLUMN_BYTES + text + texts.chain(beginnings).sum::<usize>()
    }
}

/// Cuts as it takes in.
struct Cutter {
    parts: Vec<TablePart>,
    /// What the last part takes so far.
    bytes: usize,
    bytes_max: usize,
}

impl Cutter {
    fn last(&mut self) -> &mut TablePart {
        let at = self.parts.len() - 1;
        &mut self.parts[at]
    }

    /// Makes room for so many bytes more; whether that took a new part.
    fn make_room(&mut self, bytes: usize) -> bool {
        let is_full = self.bytes + bytes > self.bytes_max && self.bytes > 0;
        if is_full {
            let TablePart { columns, delimiter, .. } = *self.last();
            self.parts.push(TablePart { columns, delimiter, ..TablePart::default() });
            self.bytes = 0;
        }
        self.bytes += bytes;
        is_full
    }

    fn begin_column(&mut self, part: ColumnPart) {
        self.make_room(part.bytes());
        self.last().sums.push(part);
    }

    fn add_text(
        &mut self,
        column: usize,
        (text, count): (&str, u64),
        list: impl Fn(&mut ColumnPart) -> &mut Vec<TextCount>,
    ) {
        if self.make_room(text.len() + ENTRY_BYTES) {
            self.bytes += COLUMN_BYTES;
            self.last().sums.push(ColumnPart { column, ..ColumnPart::default() });
        }
        if let Some(part) = self.last().sums.last_mut() {
            list(part).push((text.to_owned(), count));
        }
    }
}

impl TableSums {
    /// Cuts it into parts of at most so many bytes, or a column's beginning.
    pub fn parts(&self, bytes_max: usize) -> Vec<TablePart> {
        let first = TablePart {
            columns: self.columns.len(),
            delimiter: self.delimiter,
            samples: self.samples,
            beginnings: self.beginnings.clone(),
            unlabelled: self.unlabelled.clone(),
            sums: Vec::new(),
        };
        let mut cutter = Cutter { parts: vec![first], bytes: 0, bytes_max };
        let mut early_bytes = 0;
        for (at, column) in self.columns.iter().enumerate() {
            cut_column(&mut cutter, at, column, &mut early_bytes);
        }
        cutter.parts
    }

    /// Takes in a part of a table of which nothing else was taken in before, or other parts.
    ///
    /// # Errors
    /// It is a part of another table; in words.
    pub fn add_part(&mut self, part: TablePart) -> Result<(), String> {
        if self.columns.is_empty() {
            if !(2..=COLUMNS_MAX).contains(&part.columns) {
                return Err(format!("{} columns, expected 2 to {COLUMNS_MAX}", part.columns));
            }
            let column = ColumnSums::of_columns(part.columns);
            self.columns = vec![column; part.columns];
            self.delimiter = part.delimiter;
        }
        if (part.columns, part.delimiter) != (self.columns.len(), self.delimiter) {
            return Err("a part of another table".to_owned());
        }
        self.samples = self.samples.saturating_add(part.samples);
        self.beginnings.extend(part.beginnings);
        if let Some((_, column)) = &part.unlabelled
            && *column >= part.columns
        {
            return Err(format!("a label in column {}, of {}", column + 1, part.columns));
        }
        self.unlabelled = self.unlabelled.take().or(part.unlabelled);
        for column in part.sums {
            let found = self.columns.get_mut(column.column);
            let sums = found.ok_or_else(|| format!("column {}", column.column + 1))?;
            sums.add_part(column);
        }
        Ok(())
    }
}

fn cut_column(cutter: &mut Cutter, at: usize, column: &ColumnSums, early_bytes: &mut usize) {
    let values = &column.values;
    let is_short = |text: &str| text.len() <= LEARNT_TEXT_BYTES_MAX;
    let long = |count: u64, text: &str| if is_short(text) { 0 } else { count };
    let mut early: Vec<&str> = values.early_texts().collect();
    let of_early: usize = early.iter().map(|text| text.len() + ENTRY_BYTES).sum();
    let mut uncounted = values.uncounted;
    if *early_bytes + of_early > EARLY_BYTES_MAX {
        uncounted += early.len() as u64;
        early.clear();
    } else {
        *early_bytes += of_early;
    }
    let none = LabelSummary::default();
    let label = column.label.as_ref().unwrap_or(&none);
    let long_texts = |texts: &super::Distinct| -> u64 {
        texts.iter().map(|(text, count)| long(count, text)).sum()
    };
    cutter.begin_column(ColumnPart {
        column: at,
        beginnings: column.beginnings.clone(),
        numbers: values.numbers,
        counts: [values.texts, values.missing, uncounted],
        others: values.distinct.others() + long_texts(&values.distinct),
        is_label: column.label.is_some(),
        label_numbers: label.numbers,
        label_counts: [label.whole, label.texts, label.flags],
        other_classes: label.classes.others() + long_texts(&label.classes),
        respelt: label
            .respelt
            .iter()
            .filter(|(text, _)| is_short(text))
            .map(|(text, count)| (text.to_owned(), count))
            .collect(),
        text: column.text.clone().map(|(place, text)| (place, shortened(text))),
        ..ColumnPart::default()
    });
    for entry in values.distinct.iter().filter(|(text, _)| is_short(text)) {
        cutter.add_text(at, entry, |part| &mut part.distinct);
    }
    for text in early {
        cutter.add_text(at, (text, 1), |part| &mut part.early);
    }
    for entry in label.classes.iter().filter(|(text, _)| is_short(text)) {
        cutter.add_text(at, entry, |part| &mut part.classes);
    }
}

/// The beginning of a text that is only shown.
fn shortened(mut text: String) -> String {
    let mut bytes = text.len().min(LEARNT_TEXT_BYTES_MAX / 16);
    while !text.is_char_boundary(bytes) {
        bytes -= 1;
    }
    text.truncate(bytes);
    text
}

impl ColumnSums {
    fn add_part(&mut self, part: ColumnPart) {
        let [texts, missing, uncounted] = part.counts;
        let mut values = ColumnSummary::default();
        (values.numbers, values.texts) = (part.numbers, texts);
        (values.missing, values.uncounted) = (missing, uncounted);
        for (text, count) in &part.distinct {
            values.distinct.add_times(text, *count, NAMED_CATEGORIES_MAX);
        }
        values.distinct.add_others(part.others);
        part.early.iter().for_each(|(text, _)| values.add_early(text));
        let label = (part.is_label || !part.classes.is_empty()).then(|| {
            let [whole, texts, flags] = part.label_counts;
            let numbers = part.label_numbers;
            let mut label = LabelSummary { numbers, whole, texts, flags, ..Default::default() };
            for (name, count) in &part.classes {
                label.classes.add_times(name, *count, LABEL_CLASSES_MAX);
            }
            label.classes.add_others(part.other_classes);
            for (text, count) in &part.respelt {
                label.respelt.add_times(text, *count, RESPELT_MAX);
            }
            label
        });
        self.beginnings.extend(part.beginnings);
        self.add(&Self { values, label, text: part.text, ..Self::default() });
    }
}

#[cfg(test)]
mod tests;
