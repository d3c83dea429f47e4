//! Whether the first line of a table is a header.

use super::column::ColumnSummary;
use super::value::{Value, ValueRules};

/// Columns that are numbered through, where all values are numbers, are taken for a header only by asking: fewer could be
/// a sample by chance.
const NUMBERED_COLUMNS: usize = 4;

const OWN_NUMBERS: &str = "the numbers of the columns in columns of numbers";

/// What a first line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstLine {
    /// The names of the columns.
    Header,
    /// A sample as the others.
    Sample,
    /// There are signs for both: what speaks for a header, in words.
    Doubtful(String),
}

/// What the first line is, given what the columns hold in all other lines.
///
/// A text in a column of numbers is a name, and so are numbers that count the columns from the first on. Any other number in such
/// a column is a value. Where no column says anything, because all are texts, a line is a header if none of
/// its texts occurs again in its column, as those of a sample nearly always would.
pub fn first_line(first: &[&str], others: &[&ColumnSummary], rules: &ValueRules) -> FirstLine {
    if others.iter().all(|column| column.is_empty()) {
        let are_texts = first.iter().all(|text| matches!(rules.value(text), Value::Text(_)));
        return if are_texts { FirstLine::Header } else { FirstLine::Sample };
    }
    let columns = || first.iter().zip(others).enumerate();
    let mut names = Vec::new();
    let (mut values, mut numbered, mut numeric) = (0_usize, 0_usize, 0_usize);
    let through = numbered_through(first, others, rules);
    for (place, (text, _)) in columns().filter(|(_, (_, column))| column.is_numeric()) {
        numeric += 1;
        match rules.value(text) {
            Value::Text(_) => names.push(place),
            Value::Number(_) if place < through => numbered += 1,
            Value::Number(_) => values += 1,
            // The name of an index that has none, or a value that is missing.
            Value::Missing => (),
        }
    }
    let texts: Vec<(&str, &ColumnSummary)> = first
        .iter()
        .copied()
        .zip(others.iter().copied())
        .filter(|(_, column)| column.texts > 0 && !column.is_numeric())
        .collect();
    let all_new = are_new(&texts);
    match (names.len(), values) {
        // Numbers such as years may be names, too.
        (1.., _) if names.len() > values => FirstLine::Header,
        (1.., _) => FirstLine::Doubtful(format!(
            "{} {}, in columns that hold numbers everywhere else; but {values} other columns of numbers \
             begin with a number",
            if names.len() == 1 { "a text" } else { "texts" },
            super::names::named_few(names.iter().map(|place| first[*place]), false)
        )),
        (0, 1..) => FirstLine::Sample,
        (0, 0) if numbered > 0 && numbered == numeric => match texts.len() {
            0 if numbered < NUMBERED_COLUMNS => FirstLine::Sample,
            0 => FirstLine::Doubtful(OWN_NUMBERS.to_owned()),
            _ if all_new && numbered == 1 => FirstLine::Doubtful(OWN_NUMBERS.to_owned()),
            _ if all_new => FirstLine::Header,
            _ => FirstLine::Sample,
        },
        (0, 0) if all_new => FirstLine::Header,
        (0, 0) => FirstLine::Sample,
    }
}

/// So many columns of numbers, from the first on, are numbered through from 0 or 1, as programs name columns that have no names.
fn numbered_through(first: &[&str], others: &[&ColumnSummary], rules: &ValueRules) -> usize {
    let number = |text: &str| rules.number(text);
    let start =
        first.first().and_then(|text| number(text)).filter(|start| [0.0, 1.0].contains(start));
    let Some(start) = start else { return 0 };
    let columns = first.iter().zip(others).enumerate();
    columns
        .take_while(|(place, (text, column))| {
            column.is_numeric() && number(text) == Some(start + *place as f64)
        })
        .count()
}

/// Whether these texts do not occur again in their columns; one that is empty, or whose column has too many to know, says
/// nothing.
fn are_new(texts: &[(&str, &ColumnSummary)]) -> bool {
    let telling = || {
        texts.iter().filter(|(text, column)| !text.is_empty() && column.distinct.len().is_some())
    };
    telling().count() > 0 && telling().all(|(text, column)| !column.distinct.contains(text))
}
