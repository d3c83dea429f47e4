//! What was understood of a table, as it goes with the model.

use super::column_use::{Column, ColumnUse};
use super::embedding::IdColumn;
use super::scale::Scale;
use super::value::ValueRules;
use crate::task::Task;
use serde::{Deserialize, Serialize};

/// Of what form a schema file is.
pub const SCHEMA_VERSION: u32 = 1;

/// The file's name beside the model.
pub const SCHEMA_FILE: &str = "schema.json";

/// Lines about columns.
const LINES_MAX: usize = 40;

/// Columns of numbers in a row that have a line each.
const ALIKE_MAX: usize = 8;

/// How a line of a table becomes a sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// [`SCHEMA_VERSION`].
    pub version: u32,
    /// Whether the training files have a header: then columns go by their names, else by their places.
    pub header: bool,
    /// What stands between two values.
    pub delimiter: char,
    /// What stands before a number's fraction.
    pub decimal: char,
    /// Missing values, beside those that are always taken for such.
    pub missing: Vec<String>,
    /// Training samples that this was learnt from.
    pub samples: u64,
    /// All columns in the order of the training files.
    pub columns: Vec<Column>,
}

impl Schema {
    /// How values are written.
    pub fn value_rules(&self) -> ValueRules {
        ValueRules { decimal: self.decimal, missing: self.missing.clone() }
    }

    /// Places and columns of the labels: one, or several numbers, or several that say yes or no.
    pub fn labels(&self) -> impl Iterator<Item = (usize, &Column)> {
        self.columns.iter().enumerate().filter(|(_, column)| column.is_label())
    }

    /// What a model is to tell.
    pub fn task(&self) -> Task {
        match self.labels().next().map(|(_, column)| &column.usage) {
            Some(ColumnUse::Number { .. }) => Task::Regression,
            Some(ColumnUse::Flag) => Task::MultiLabel,
            _ => Task::Classification,
        }
    }

    /// The classes in the order of a model's outputs; none where labels are no classes.
    pub fn classes(&self) -> &[String] {
        match self.labels().next() {
            Some((_, Column { usage: ColumnUse::Class { classes }, .. })) => classes,
            _ => &[],
        }
    }

    /// Takes the classes 0, 1, .. to this number, if those that are known are among them: the beginning of a table may
    /// not have all.
    pub fn number_classes(&mut self, count: usize) {
        for column in &mut self.columns {
            let ColumnUse::Class { classes } = &mut column.usage else { continue };
            let is_one = |class: &String| class.parse::<usize>().is_ok_and(|class| class < count);
            if classes.iter().all(is_one) {
                *classes = (0..count).map(|class| class.to_string()).collect();
            }
        }
    }

    /// Puts these classes first, in this order, whether the table has them or not: those of a model that is trained further.
    pub fn put_classes_first(&mut self, first: &[String]) {
        for column in &mut self.columns {
            if let ColumnUse::Class { classes } = &mut column.usage {
                let new = classes.iter().filter(|class| !first.contains(class)).cloned();
                *classes = first.iter().cloned().chain(new).collect();
            }
        }
    }

    /// What each output of a model is called: its class, or its column.
    pub fn output_names(&self) -> Vec<String> {
        match self.task() {
            Task::Classification => self.classes().to_vec(),
            Task::Regression | Task::MultiLabel => {
                self.labels().map(|(at, _)| self.column_name(at)).collect()
            }
        }
    }

    /// Of labels that are numbers: a model's output times the deviation plus the mean is one.
    pub fn label_scales(&self) -> Vec<Scale> {
        let scale = |column: &Column| match column.usage {
            ColumnUse::Number { mean, deviation } => Some(Scale { mean, deviation }),
            _ => None,
        };
        self.columns.iter().filter_map(scale).collect()
    }

    /// What people call a column: by its name, or else its number from 1.
    pub fn column_name(&self, at: usize) -> String {
        let name = self.columns.get(at).map(|column| column.name.clone());
        name.filter(|name| !name.is_empty()).unwrap_or_else(|| (at + 1).to_string())
    }

    /// What was understood, for people: first all in all, then a line for each column or run of columns that are alike.
    pub fn lines(&self) -> Vec<String> {
        let header = if self.header { "header" } else { "no header" };
        let looked_up = match self.id_columns().len() {
            0 => String::new(),
            count => format!(" and {count} looked up"),
        };
        let (samples, columns, inputs) = (self.samples, self.columns.len(), self.width());
        let mut lines = vec![format!(
            "{samples} samples, {header}, {columns} columns: {inputs} inputs{looked_up}"
        )];
        let mut at = 0;
        while at < self.columns.len() {
            let kind = &self.columns[at];
            let alike = self.columns[at..].iter().take_while(|column| column.is_like(kind)).count();
            if lines.len() > LINES_MAX {
                lines.push(format!("  and {} more columns", self.columns.len() - at));
                break;
            }
            // One of many pixels tells nothing about the others, and needs no line of its own.
            if alike > ALIKE_MAX {
                let (first, last) = (self.column_name(at), self.column_name(at + alike - 1));
                lines.push(format!("  {first} to {last}: {alike} columns of numbers"));
                at += alike;
            } else {
                lines.push(format!("  {}: {}", self.column_name(at), kind.words()));
                at += 1;
            }
        }
        lines
    }

    /// The columns that are looked up, in order.
    pub fn id_columns(&self) -> Vec<IdColumn> {
        let column = |(at, column): (usize, &Column)| {
            let vocabulary = column.vocabulary()?;
            Some(IdColumn::new(self.column_name(at), vocabulary))
        };
        self.columns.iter().enumerate().filter_map(column).collect()
    }

    /// Inputs made from one line.
    pub fn width(&self) -> usize {
        self.columns.iter().map(Column::width).sum()
    }
}
