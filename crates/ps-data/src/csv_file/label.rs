//! The label column: which one it is, and the classes that it holds.

use std::fmt::{self, Display};
use std::str::FromStr;

use csv::StringRecord;

use super::categories::Categories;
use crate::limits::CLASSES_MAX;

/// Which column of a CSV file holds the label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LabelColumn {
    /// The last one.
    #[default]
    Last,
    /// By its number, from 1.
    Number(usize),
    /// By its name in the header, which the file must then have.
    Name(String),
}

impl LabelColumn {
    /// The column's position, from 0, in a file with this first line.
    pub(super) fn position(&self, first: &StringRecord) -> Result<usize, String> {
        match self {
            Self::Last => Ok(first.len() - 1),
            Self::Number(number) if (1..=first.len()).contains(number) => Ok(number - 1),
            Self::Number(number) => Err(format!(
                "label column {number} was asked for, but the columns are 1 to {}",
                first.len()
            )),
            Self::Name(name) => first.iter().position(|value| value == name).ok_or_else(|| {
                let found = first.iter().collect::<Vec<&str>>().join(", ");
                format!("no column is named `{name}`; the first line is: {found}")
            }),
        }
    }
}

impl FromStr for LabelColumn {
    type Err = std::convert::Infallible;

    /// `last`, a number from 1, or a name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match (text, text.parse()) {
            ("last", _) => Self::Last,
            (_, Ok(number)) => Self::Number(number),
            (name, Err(_)) => Self::Name(name.to_owned()),
        })
    }
}

impl Display for LabelColumn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last => formatter.write_str("last"),
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Name(name) => formatter.write_str(name),
        }
    }
}

/// The distinct labels of the training set, while it is read.
#[derive(Default)]
pub(super) struct DistinctLabels(Categories);

impl DistinctLabels {
    /// Takes in one label.
    pub(super) fn add(&mut self, text: &str) {
        // One too many is enough to know that there are too many.
        if self.0.len() <= CLASSES_MAX {
            self.0.add(text);
        }
    }

    /// The classes: the labels themselves if all are small whole numbers, else the sorted texts.
    pub(super) fn classes(self) -> Result<Classes, String> {
        if self.0.len() > CLASSES_MAX {
            return Err(format!(
                "more than {CLASSES_MAX} distinct labels, such as {}; only classification is \
                 supported: is this the right column?",
                self.0.sample()
            ));
        }
        match self.0.iter().map(class_number).collect::<Option<Vec<u32>>>() {
            Some(numbers) => {
                Ok(Classes::Numbers(numbers.into_iter().max().map_or(0, |most| most + 1)))
            }
            None => Ok(Classes::Texts(self.0.sorted())),
        }
    }
}

/// A label that is its own class number.
fn class_number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|&number| (number as usize) < CLASSES_MAX)
}

/// How a label becomes a class number.
pub(super) enum Classes {
    /// It is one, below this.
    Numbers(u32),
    /// By its place among the sorted texts.
    Texts(Categories),
}

impl Classes {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers(end) => *end as usize,
            Self::Texts(texts) => texts.len(),
        }
    }

    /// The class of a label.
    pub(super) fn class(&self, text: &str) -> Result<u32, String> {
        let (class, known) = match self {
            Self::Numbers(end) => (
                class_number(text).filter(|number| number < end),
                format!("whole numbers from 0 to {}", end.saturating_sub(1)),
            ),
            Self::Texts(texts) => {
                (texts.position(text).and_then(|class| u32::try_from(class).ok()), texts.sample())
            }
        };
        class.ok_or_else(|| {
            format!("label `{text}` does not occur in the training set, whose labels are {known}")
        })
    }
}
