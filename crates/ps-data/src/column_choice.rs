//! Which column of a table is meant.

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::str::FromStr;

/// Which column of a table is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ColumnChoice {
    /// The last one.
    #[default]
    Last,
    /// By its number, from 1.
    Number(usize),
    /// By its name in the header, which the file must then have.
    Name(String),
}

impl ColumnChoice {
    /// The column's position, from 0, in a file with this first line.
    ///
    /// # Errors
    /// There is none, or several.
    pub(crate) fn position(&self, option: &str, first: &[&str]) -> Result<usize, String> {
        let count = first.len();
        match self {
            Self::Last => Ok(count.saturating_sub(1)),
            Self::Number(number) if (1..=count).contains(number) => Ok(number - 1),
            Self::Number(number) => Err(format!(
                "{option}: column {number} was asked for, but the columns are 1 to {count}"
            )),
            Self::Name(name) => {
                let mut named = first.iter().enumerate().filter(|(_, value)| *value == name);
                let found = || first.join(", ");
                match (named.next(), named.next()) {
                    (Some((position, _)), None) => Ok(position),
                    (Some((one, _)), Some((other, _))) => Err(format!(
                        "{option}: columns {} and {} are both named `{name}`; give the number",
                        one + 1,
                        other + 1
                    )),
                    (None, _) => Err(format!(
                        "{option}: no column is named `{name}`; the first line is: {}",
                        found()
                    )),
                }
            }
        }
    }
}

impl FromStr for ColumnChoice {
    type Err = Infallible;

    /// `last`, a number from 1, or a name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match (text, text.parse()) {
            ("last", _) => Self::Last,
            (_, Ok(number)) => Self::Number(number),
            (name, Err(_)) => Self::Name(name.to_owned()),
        })
    }
}

impl Display for ColumnChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last => formatter.write_str("last"),
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Name(name) => formatter.write_str(name),
        }
    }
}
