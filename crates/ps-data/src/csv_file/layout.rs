//! Where in a file the columns of a table are: by their names where both have a header.

use std::path::Path;

use ps_core::schema::{Column, ColumnUse, Schema, Value, class_name, flag};

use super::errors::{file_error, line_error};
use super::row::Row;
use crate::Error;

/// Where each column of the table is in a file; `None`: where it is in the table.
pub(super) type Places = Option<Vec<usize>>;

/// The places of these columns in a file that begins with this line, if the line is a header of theirs: it has their names,
/// in any order.
pub(super) fn places(names: &[String], first: &Row<'_>) -> Option<Places> {
    if first.is(names) {
        return Some(None);
    }
    if first.len() != names.len() {
        return None;
    }
    let mut places = Vec::with_capacity(names.len());
    for name in names {
        let place = first.iter().position(|value| value == name)?;
        // Two columns of one name can't be told apart by it.
        if places.contains(&place) {
            return None;
        }
        places.push(place);
    }
    Some(Some(places))
}

/// The places of a schema's columns in a file that is read with it and begins with this line; the outer `None` where that is
/// no header.
///
/// # Errors
/// It is a header, but not of all columns that are needed, or of two of one name; or neither a header nor a sample.
pub(super) fn places_of_schema(
    path: &Path,
    schema: &Schema,
    needs_label: bool,
    first: &Row<'_>,
) -> Result<Option<Vec<Option<usize>>>, Error> {
    let columns = || schema.columns.iter().enumerate();
    if !schema.header {
        return Ok(None);
    }
    // As in training, whatever the names are.
    if first.len() == schema.columns.len()
        && first.iter().zip(&schema.columns).all(|(it, own)| it == own.name)
    {
        return Ok(Some(columns().map(|(at, _)| Some(at)).collect()));
    }
    let labels: Vec<usize> = schema.labels().map(|(place, _)| place).collect();
    let is_needed =
        |at: usize| schema.columns[at].is_input() || (needs_label && labels.contains(&at));
    let needed = || columns().filter(|(at, _)| is_needed(*at));
    let missing: Vec<String> = needed()
        .filter(|it| place(*it, first).is_none())
        .map(|(at, _)| format!("`{}`", schema.column_name(at)))
        .collect();
    let count = needed().count();
    // Some of the names could be texts of a sample by chance; most of them are not.
    let is_mostly_missing =
        missing.len() * 2 >= count.max(1) && missing.len() > usize::from(count > 1);
    // A line of a length that no sample has, and with a name, is a header.
    let without_labels = schema.columns.len() - labels.len();
    let is_long_as_samples = [schema.columns.len(), without_labels].contains(&first.len());
    let has_a_name = || needed().any(|it| place(it, first).is_some());
    if is_mostly_missing && (is_long_as_samples || !has_a_name()) {
        return match is_like_a_sample(path, schema, first) {
            true => Ok(None),
            false => Err(neither(path, schema, first)),
        };
    }
    let all: Vec<&str> = first.iter().collect();
    if !missing.is_empty() {
        let problem = format!(
            "no column named {} in its header, which is: {}; the training files have it",
            missing.join(", "),
            all.join(", ")
        );
        return Err(file_error(path, problem));
    }
    let is_twice = |name: &str| {
        let columns = schema.columns.iter().filter(|column| column.name == name).count();
        columns > 1 || all.iter().filter(|it| **it == name).count() > 1
    };
    if let Some((_, column)) = needed().find(|(_, column)| is_twice(&column.name)) {
        let problem = format!(
            "two columns are named `{}`, and the columns are in another order than in the training files: nobody can \
             tell which is which; give them other names",
            column.name
        );
        return Err(file_error(path, problem));
    }
    Ok(Some(columns().map(|it| place(it, first)).collect()))
}

/// Where a column is; one without a name, such as an index, stays where it was.
fn place((at, column): (usize, &Column), first: &Row<'_>) -> Option<usize> {
    match column.name.as_str() {
        "" => Some(at).filter(|at| *at < first.len() && first.get(*at).is_empty()),
        name => first.iter().position(|value| value == name),
    }
}

/// Whether this line may be a sample: there is a number where there are numbers, or a text that is known; or no column could
/// tell, and it has none of their names in another case.
fn is_like_a_sample(path: &Path, schema: &Schema, first: &Row<'_>) -> bool {
    let signs = signs_of_a_sample(schema, first);
    if signs.contains(&Some(true)) {
        return true;
    }
    let lower: Vec<String> = first.iter().map(str::to_lowercase).collect();
    let names = schema.columns.iter().map(|column| column.name.to_lowercase());
    let has_a_name = names.filter(|name| !name.is_empty()).any(|name| lower.contains(&name));
    let may_be = !has_a_name && signs.iter().all(Option::is_none);
    if may_be {
        tracing::warn!(
            "{}, line 1: {}: taken for a sample, not for a header: the texts of all columns are hashed, so that nothing tells",
            path.display(),
            first.iter().collect::<Vec<_>>().join(", ")
        );
    }
    may_be
}

/// Of each column, whether it has in this line what it has in samples; `None`: it could have anything.
fn signs_of_a_sample(schema: &Schema, first: &Row<'_>) -> Vec<Option<bool>> {
    let rules = schema.value_rules();
    let places = match first.len() + schema.labels().count() == schema.columns.len() {
        true => places_without_label(schema),
        false => (0..schema.columns.len()).map(Some).collect(),
    };
    let sign = |(column, place): (&Column, Option<usize>)| {
        let text = first.get(place?);
        let value = rules.value(text);
        Some(match &column.usage {
            // A name of a column could be a text of it as well, and a label may be empty where it is to be predicted.
            ColumnUse::Hashed { .. } if matches!(value, Value::Text(_)) => return None,
            ColumnUse::Class { .. } | ColumnUse::Flag if text.is_empty() => return None,
            ColumnUse::Ignored => return None,
            ColumnUse::Hashed { .. } => true,
            ColumnUse::Numeric { .. } | ColumnUse::Number { .. } => {
                matches!(value, Value::Number(_) | Value::Missing)
            }
            ColumnUse::Categorical { categories } | ColumnUse::Embedded { categories } => {
                match value {
                    Value::Text(text) => categories.iter().any(|category| category == text),
                    _ => true,
                }
            }
            ColumnUse::Class { classes } => {
                classes.iter().any(|class| *class == class_name(text, &rules))
            }
            ColumnUse::Flag => flag(text, &rules).is_some(),
        })
    };
    schema.columns.iter().zip(places).map(sign).collect()
}

fn neither(path: &Path, schema: &Schema, first: &Row<'_>) -> Error {
    let names = (0..schema.columns.len()).map(|at| schema.column_name(at));
    let problem = format!(
        "{}: neither the header of the training files ({}) nor a sample like theirs; names must be the same, upper and lower \
         case too; if it is a sample with nothing but new texts, write that header above it",
        first.iter().collect::<Vec<_>>().join(", "),
        names.collect::<Vec<_>>().join(", ")
    );
    line_error(path, 1, problem)
}

/// The places of a schema's columns in lines that have all of them but the labels.
pub(super) fn places_without_label(schema: &Schema) -> Vec<Option<usize>> {
    let labels: Vec<usize> = schema.labels().map(|(place, _)| place).collect();
    let place = |at: usize| {
        let before = labels.iter().filter(|label| **label < at).count();
        (!labels.contains(&at)).then_some(at - before)
    };
    (0..schema.columns.len()).map(place).collect()
}
