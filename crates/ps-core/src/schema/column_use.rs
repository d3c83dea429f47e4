//! A column of a table, and what becomes of it.

use super::column::ColumnKind;
use super::label::Target;
use super::names::named_few;
use serde::{Deserialize, Serialize};

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
    /// Whether a sample has the label that the column is called by.
    Flag,
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
            Target::Flag => Self::Flag,
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
            ColumnUse::Ignored
            | ColumnUse::Class { .. }
            | ColumnUse::Number { .. }
            | ColumnUse::Flag => 0,
        }
    }

    /// Whether both are numbers that are never missing.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let is_plain = |column: &Self| {
            matches!(column.usage, ColumnUse::Numeric { .. }) && column.missing == 0
        };
        is_plain(self) && is_plain(other)
    }

    pub(super) fn is_label(&self) -> bool {
        matches!(self.usage, ColumnUse::Class { .. } | ColumnUse::Number { .. } | ColumnUse::Flag)
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
            ColumnUse::Flag => "label, yes or no".to_owned(),
        }
    }
}
