//! What was understood of a table, as it goes with the model.

use super::column::ColumnKind;
use super::label::Target;
use super::names::named_few;
use super::value::ValueRules;
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

/// A column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// From the header; empty without one, or where it has none.
    pub name: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub usage: ColumnUse,
    /// Training samples in which it is missing.
    #[serde(default)]
    pub missing: u64,
    /// The user says that it holds numbers: what is none is missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub texts_are_missing: bool,
}

/// What becomes of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "use", rename_all = "kebab-case")]
pub enum ColumnUse {
    /// The input `(value - mean) / deviation`, and one that is 1 where it is missing, if it ever was.
    Numeric {
        /// Of the training set.
        mean: f64,
        /// Of the training set.
        deviation: f64,
    },
    /// An input for each category, and one for a missing value, if there ever was one.
    Categorical {
        /// In the order of their inputs.
        categories: Vec<String>,
    },
    /// Nothing.
    Ignored,
    /// One of these classes.
    Class {
        /// In the order of a model's outputs.
        classes: Vec<String>,
    },
    /// A number that a model comes near to as `output * deviation + mean`.
    Number {
        /// Of the training set.
        mean: f64,
        /// Of the training set.
        deviation: f64,
    },
}

impl From<ColumnKind> for ColumnUse {
    fn from(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Numeric { mean, deviation } => Self::Numeric { mean, deviation },
            ColumnKind::Categorical(categories) => Self::Categorical { categories },
        }
    }
}

impl From<Target> for ColumnUse {
    fn from(target: Target) -> Self {
        match target {
            Target::Classes(classes) => Self::Class { classes },
            Target::Number { mean, deviation } => Self::Number { mean, deviation },
        }
    }
}

impl Column {
    /// Inputs made from a value.
    pub fn width(&self) -> usize {
        let missing = usize::from(self.missing > 0);
        match &self.usage {
            ColumnUse::Numeric { .. } => 1 + missing,
            ColumnUse::Categorical { categories } => categories.len() + missing,
            ColumnUse::Ignored | ColumnUse::Class { .. } | ColumnUse::Number { .. } => 0,
        }
    }

    /// Whether both are numbers that are never missing.
    fn is_like(&self, other: &Self) -> bool {
        let is_plain = |column: &Self| {
            matches!(column.usage, ColumnUse::Numeric { .. }) && column.missing == 0
        };
        is_plain(self) && is_plain(other)
    }

    fn is_label(&self) -> bool {
        matches!(self.usage, ColumnUse::Class { .. } | ColumnUse::Number { .. })
    }

    /// What becomes of it, in words.
    pub fn words(&self) -> String {
        let missing = match self.missing {
            0 => String::new(),
            count => format!("; {count} missing"),
        };
        match &self.usage {
            ColumnUse::Numeric { mean, deviation } => {
                format!("number, mean {mean:.6}, deviation {deviation:.6}{missing}")
            }
            ColumnUse::Categorical { categories } => {
                let few = named_few(categories.iter().map(String::as_str), false);
                format!("{} categories: {few}{missing}", categories.len())
            }
            ColumnUse::Ignored => "ignored".to_owned(),
            ColumnUse::Class { classes } => {
                let few = named_few(classes.iter().map(String::as_str), false);
                format!("label, {} classes: {few}", classes.len())
            }
            ColumnUse::Number { mean, deviation } => {
                format!("label, a number, mean {mean:.6}, deviation {deviation:.6}")
            }
        }
    }
}

impl Schema {
    /// How values are written.
    pub fn value_rules(&self) -> ValueRules {
        ValueRules { decimal: self.decimal, missing: self.missing.clone() }
    }

    /// Place and column of the label.
    pub fn label(&self) -> Option<(usize, &Column)> {
        self.columns.iter().enumerate().find(|(_, column)| column.is_label())
    }

    /// The classes in the order of a model's outputs; none where the label is a number.
    pub fn classes(&self) -> &[String] {
        match self.label() {
            Some((_, Column { usage: ColumnUse::Class { classes }, .. })) => classes,
            _ => &[],
        }
    }

    /// What people call a column: by its name, or else its number from 1.
    pub fn column_name(&self, at: usize) -> String {
        let name = self.columns.get(at).map(|column| column.name.clone());
        name.filter(|name| !name.is_empty()).unwrap_or_else(|| (at + 1).to_string())
    }

    /// What was understood, for people: first all in all, then a line for each column or run of columns that are alike.
    pub fn lines(&self) -> Vec<String> {
        let header = if self.header { "header" } else { "no header" };
        let mut lines = vec![format!(
            "{} samples, {header}, {} columns: {} inputs",
            self.samples,
            self.columns.len(),
            self.width()
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

    /// Inputs made from one line.
    pub fn width(&self) -> usize {
        self.columns.iter().map(Column::width).sum()
    }
}
