//! What a job says about its tables.

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::str::FromStr;

use crate::EmbedChoice;
use ps_core::TaskChoice;
use ps_core::schema::{EmbeddingRule, ValueRules};
use strum::{EnumMessage, EnumString, IntoStaticStr, VariantArray};

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

/// Whether the first line of a table is a header.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, EnumMessage, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
pub enum HeaderChoice {
    /// Found out from all lines.
    #[default]
    Auto,
    /// It is.
    Yes,
    /// It is a sample.
    No,
}

impl HeaderChoice {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// One character of ASCII that stands between or in values: itself, or `tab`, `comma`, `semicolon`, `pipe`, `space`, `point`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(pub u8);

const NAMED: [(&str, u8); 7] = [
    ("tab", b'\t'),
    ("\\t", b'\t'),
    ("comma", b','),
    ("semicolon", b';'),
    ("pipe", b'|'),
    ("space", b' '),
    ("point", b'.'),
];

impl FromStr for Mark {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = NAMED.iter().find(|(name, _)| *name == text).map(|(_, mark)| *mark);
        let single = || match text.as_bytes() {
            [mark] if !mark.is_ascii_alphanumeric() && !b"\"\r\n-+".contains(mark) => Some(*mark),
            _ => None,
        };
        named.or_else(single).map(Self).ok_or_else(|| {
            format!("`{text}`: expected one character such as `;`, or tab, comma, semicolon, pipe, space, point")
        })
    }
}

impl Display for Mark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b'\t' => formatter.write_str("tab"),
            b' ' => formatter.write_str("space"),
            mark => write!(formatter, "{}", mark as char),
        }
    }
}

/// How a table is to be read, as far as somebody says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// The label's column, or several; none: the last one.
    pub labels: Vec<ColumnChoice>,
    /// What a model is to tell; of other formats, too.
    pub task: TaskChoice,
    /// Whether there is a header.
    pub header: HeaderChoice,
    /// What stands between two values; a comma, or a tab in a file called so, where nobody says.
    pub delimiter: Option<Mark>,
    /// What stands before a number's fraction; a point where nobody says.
    pub decimal: Option<Mark>,
    /// Missing values beside those that are always taken for such.
    pub missing: Vec<String>,
    /// Columns of numbers: what is none is missing.
    pub numeric: Vec<ColumnChoice>,
    /// Columns of categories, whatever they look like.
    pub categorical: Vec<ColumnChoice>,
    /// Columns that are not used.
    pub ignore: Vec<ColumnChoice>,
    /// Which columns of categories are looked up.
    pub embed: EmbedChoice,
    /// Those that the model looks up where nobody says.
    pub embedding: EmbeddingRule,
}

impl TableOptions {
    /// How values are written.
    pub(crate) fn value_rules(&self) -> ValueRules {
        let decimal = self.decimal.map_or('.', |mark| mark.0 as char);
        ValueRules { decimal, missing: self.missing.clone() }
    }

    /// The places of the labels, from 0, in a file with this first line.
    ///
    /// # Errors
    /// There is no such column, or one is named twice.
    pub(crate) fn label_places(&self, first: &[&str]) -> Result<Vec<usize>, String> {
        if self.labels.is_empty() {
            return Ok(vec![ColumnChoice::Last.position("--label", first)?]);
        }
        let mut places = Vec::with_capacity(self.labels.len());
        for choice in &self.labels {
            let place = choice.position("--label", first)?;
            if places.contains(&place) {
                return Err(format!("--label: column {} is named twice", place + 1));
            }
            places.push(place);
        }
        // A model's outputs are in the order of the columns.
        places.sort_unstable();
        Ok(places)
    }

    /// Whether nobody says which column is the label.
    pub(crate) fn has_default_label(&self) -> bool {
        self.labels.iter().all(|choice| *choice == ColumnChoice::Last)
    }

    /// The label by this name, all else found out.
    pub fn with_label(label: ColumnChoice) -> Self {
        Self { labels: vec![label], ..Self::default() }
    }

    /// Whether a column is named, which needs a header.
    pub(crate) fn names_a_column(&self) -> bool {
        let lists = [&self.numeric, &self.categorical, &self.ignore, &self.labels];
        let lists = lists.map(Vec::as_slice).into_iter().chain([self.embed.columns()]);
        let mut choices = lists.flatten();
        choices.any(|choice| matches!(choice, ColumnChoice::Name(_)))
    }
}
