//! What one value of a table is.

use super::decimal::decimal;

/// How a missing value is written, in any case, where nobody says more.
pub const MISSING: [&str; 8] = ["", "na", "n/a", "#n/a", "nan", "null", "none", "?"];

/// What one value is, without the blanks around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing was known.
    Missing,
    /// A number that is finite as an `f32`, too: so a model takes it.
    Number(f64),
    /// Anything else.
    Text(&'a str),
}

/// How values are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueRules {
    /// What stands before a number's fraction: `.` or `,`.
    pub decimal: char,
    /// Missing values beside [`MISSING`], as they are written.
    pub missing: Vec<String>,
}

impl Default for ValueRules {
    fn default() -> Self {
        Self { decimal: '.', missing: Vec::new() }
    }
}

impl ValueRules {
    /// What this value is.
    pub fn value<'a>(&self, text: &'a str) -> Value<'a> {
        // What nearly all values are comes first.
        if let Some(number) = self.number(text) {
            return match self.missing.iter().any(|missing| missing == text) {
                true => Value::Missing,
                false => Value::Number(number),
            };
        }
        match self.is_missing(text) {
            true => Value::Missing,
            false => Value::Text(text),
        }
    }

    /// Whether this is how a missing value is written.
    pub fn is_missing(&self, text: &str) -> bool {
        MISSING.iter().any(|missing| missing.eq_ignore_ascii_case(text))
            || self.missing.iter().any(|missing| missing == text)
    }

    /// The number that these bytes surely are; of all others [`Self::value`] knows more.
    #[inline]
    pub fn plain_number(&self, text: &[u8]) -> Option<f64> {
        if self.decimal == '.' && self.missing.is_empty() { decimal(text) } else { None }
    }

    /// The number that this is, if it is one and finite.
    pub fn number(&self, text: &str) -> Option<f64> {
        match self.decimal {
            '.' => finite(text),
            // A point would be a thousands separator, and nobody said that there are any.
            _ if text.contains('.') => None,
            decimal => finite(&text.replace(decimal, ".")),
        }
    }
}

fn finite(text: &str) -> Option<f64> {
    if let Some(number) = decimal(text.as_bytes()) {
        return Some(number);
    }
    text.parse::<f64>().ok().filter(|number| (*number as f32).is_finite())
}
