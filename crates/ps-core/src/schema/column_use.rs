//! A column of a table, and what becomes of it.

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
    /// An id: 0 of a value that training never had, or none, else 1 for the first category, and so on.
    Embedded {
        /// In the order of their ids.
        categories: Vec<String>,
    },
    /// An id: 0 of no value, else [`super::hashed_id`].
    Hashed {
        /// Ids are from 1 to this.
        rows: u32,
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

impl ColumnUse {
    /// What it cannot be, in words.
    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Self::Numeric { mean, deviation } | Self::Number { mean, deviation } => {
                // Of a table's own, even 0 is an input that can be computed with, however large or small its numbers are.
                let is_scale = *deviation > 0.0
                    && deviation.is_finite()
                    && (mean / deviation).abs() < f64::from(f32::MAX);
                (!is_scale).then(|| format!("mean {mean} and deviation {deviation} are no scale"))
            }
            Self::Categorical { categories: texts }
            | Self::Embedded { categories: texts }
            | Self::Class { classes: texts } => {
                let distinct: std::collections::BTreeSet<&String> = texts.iter().collect();
                (distinct.len() < texts.len()).then(|| "one category or class twice".to_owned())
            }
            Self::Hashed { rows: 0 } => Some("hashed to no rows".to_owned()),
            Self::Hashed { .. } | Self::Ignored | Self::Flag => None,
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
            ColumnUse::Embedded { .. }
            | ColumnUse::Hashed { .. }
            | ColumnUse::Ignored
            | ColumnUse::Class { .. }
            | ColumnUse::Number { .. }
            | ColumnUse::Flag => 0,
        }
    }

    /// Whether a model is given anything of it.
    pub fn is_input(&self) -> bool {
        self.width() > 0 || self.vocabulary().is_some()
    }

    /// How many ids there are of it, if it is looked up.
    pub fn vocabulary(&self) -> Option<u32> {
        match &self.usage {
            ColumnUse::Embedded { categories } => {
                Some(u32::try_from(categories.len()).unwrap_or(u32::MAX).saturating_add(1))
            }
            ColumnUse::Hashed { rows } => Some(rows.saturating_add(1)),
            _ => None,
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
            ColumnUse::Embedded { categories } => {
                let few = named_few(categories.iter().map(String::as_str), false);
                format!("looked up, {} categories: {few}{missing}", categories.len())
            }
            ColumnUse::Hashed { rows } => {
                format!(
                    "looked up, hashed to {rows} rows: categories that are too many, or too long, to name{missing}"
                )
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
