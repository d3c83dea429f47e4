//! What one process counted in its part of a table, to be added to what others did.

use super::column::ColumnSummary;
use super::embedding::fnv_1a;
use super::label::LabelSummary;
use serde::{Deserialize, Serialize};

/// Columns of a table: the statistics of every column are held while the file is read.
pub const COLUMNS_MAX: usize = 65_536;

/// A line of somebody's file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LinePlace {
    /// The file, and whose it is.
    pub file: String,
    /// From 1.
    pub line: u64,
}

/// A first line of a table, which may be a header; its values stand in the columns.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BeginningLine {
    /// Where it is.
    pub place: LinePlace,
    /// How many lines are it; of several processes that read the same file one counts them.
    pub times: u64,
    /// The first line of a further file that has its values in another order.
    pub moved: Option<LinePlace>,
}

/// What was counted in one column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnSums {
    /// Its value in each of the table's first lines.
    pub beginnings: Vec<String>,
    /// Its values in all other lines.
    pub values: ColumnSummary,
    /// The same as labels, if it is one.
    pub label: Option<LabelSummary>,
    /// The first text, and where it is.
    pub text: Option<(LinePlace, String)>,
}

/// What was counted in a part of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableSums {
    /// What stands between two values.
    pub delimiter: u8,
    /// Lines beside the first ones.
    pub samples: u64,
    /// Distinct first lines of files.
    pub beginnings: Vec<BeginningLine>,
    /// The first line without a label, and the label's column.
    pub unlabelled: Option<(LinePlace, usize)>,
    /// All columns, in order.
    pub columns: Vec<ColumnSums>,
}

impl ColumnSums {
    /// One of so many columns, of which nothing was counted.
    pub fn of_columns(count: usize) -> Self {
        Self { values: ColumnSummary::of_columns(count), ..Self::default() }
    }

    /// Takes in what another part of the data has, but for its first lines.
    pub(super) fn add(&mut self, other: &Self) {
        self.values.merge(&other.values);
        if let Some(label) = &other.label {
            self.label.get_or_insert_default().merge(label);
        }
        if self.text.is_none() {
            self.text.clone_from(&other.text);
        }
    }
}

impl TableSums {
    /// The values of a first line.
    pub fn beginning(&self, at: usize) -> Vec<&str> {
        self.columns.iter().map(|column| column.beginnings[at].as_str()).collect()
    }

    /// The sum of all; the order does not matter.
    ///
    /// # Errors
    /// Two of them are no parts of one table: both, and what is different.
    pub fn sum(mut all: Vec<Self>) -> Result<Option<Self>, String> {
        // Sums of fractions depend on their order, be it in the last of their many digits.
        all.sort_by_cached_key(Self::order);
        let mut all = all.into_iter();
        let Some(mut sum) = all.next() else { return Ok(None) };
        for other in all {
            sum.merge(other)?;
        }
        Ok(Some(sum))
    }

    /// A number that follows from what was counted, and not from where.
    fn order(&self) -> (u64, u64) {
        let mut words = String::new();
        for column in &self.columns {
            let ColumnSummary { numbers, texts, missing, distinct, .. } = &column.values;
            let distinct = distinct.examples();
            words.push_str(&format!(
                "{:?} {numbers:?} {texts} {missing} {distinct};",
                column.beginnings
            ));
        }
        (self.samples, fnv_1a(&words))
    }

    fn merge(&mut self, other: Self) -> Result<(), String> {
        self.check_fits(&other)?;
        self.samples += other.samples;
        if self.unlabelled.is_none() {
            self.unlabelled = other.unlabelled;
        }
        for (at, beginning) in other.beginnings.into_iter().enumerate() {
            let its = |column: &ColumnSums| column.beginnings[at].clone();
            let values: Vec<String> = other.columns.iter().map(its).collect();
            self.add_beginning(beginning, values);
        }
        for (column, other) in self.columns.iter_mut().zip(&other.columns) {
            column.add(other);
        }
        Ok(())
    }

    fn add_beginning(&mut self, beginning: BeginningLine, values: Vec<String>) {
        let is_same = |at: &usize| {
            self.columns.iter().zip(&values).all(|(column, value)| column.beginnings[*at] == *value)
        };
        match (0..self.beginnings.len()).find(is_same) {
            Some(at) => {
                let known = &mut self.beginnings[at];
                known.times += beginning.times;
                known.moved = known.moved.take().or(beginning.moved);
            }
            None => {
                self.beginnings.push(beginning);
                for (column, value) in self.columns.iter_mut().zip(values) {
                    column.beginnings.push(value);
                }
            }
        }
    }

    /// Whether both are parts of one table.
    fn check_fits(&self, other: &Self) -> Result<(), String> {
        let differs = |what: &str, own: String, its: String| {
            Err(format!(
                "{} has {its} {what}, {} has {own}: all shares of a job must be of one table, read with the same options",
                other.name(),
                self.name()
            ))
        };
        let (own, its) = (self.columns.len(), other.columns.len());
        if own != its {
            return differs("columns", own.to_string(), its.to_string());
        }
        if self.delimiter != other.delimiter {
            let mark = |mark: u8| format!("`{}`", (mark as char).escape_default());
            return differs("between its values", mark(self.delimiter), mark(other.delimiter));
        }
        let labels = |sums: &Self| {
            let columns = sums.columns.iter().enumerate();
            let labels = columns.filter(|(_, column)| column.label.is_some());
            let places: Vec<String> = labels.map(|(at, _)| (at + 1).to_string()).collect();
            format!("column {}", places.join(", "))
        };
        let (own, its) = (labels(self), labels(other));
        if own != its {
            return differs("as its label", own, its);
        }
        Ok(())
    }

    /// What a message calls these.
    fn name(&self) -> &str {
        self.beginnings.first().map_or("a share", |line| &line.place.file)
    }

    /// What no part of a table can have taught.
    ///
    /// # Errors
    /// In words, what was found and expected.
    pub fn check(&self) -> Result<(), String> {
        for (at, column) in self.columns.iter().enumerate() {
            let values = &column.values;
            let counted = [values.numbers.count, values.texts, values.missing];
            let counted = counted.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
            if counted != self.samples {
                let expected = self.samples;
                return Err(format!(
                    "column {}: {counted} values, expected {expected}, one for each line",
                    at + 1
                ));
            }
            let others = values.distinct.others();
            let texts = values.distinct.iter().fold(others, |sum, it| sum.saturating_add(it.1));
            let label = column.label.as_ref();
            let labels = label.map_or(0, |label| label.numbers.count.saturating_add(label.texts));
            if texts.max(labels) > self.samples {
                return Err(format!("column {}: more texts or labels than lines", at + 1));
            }
            if column.beginnings.len() != self.beginnings.len() {
                return Err(format!("column {}: no value in a first line", at + 1));
            }
        }
        match self.beginnings.is_empty() || self.columns.len() < 2 {
            true => Err("a table without a first line, or with less than two columns".to_owned()),
            false => Ok(()),
        }
    }
}
