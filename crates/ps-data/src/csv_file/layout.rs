//! Where in a file the columns of a table are: by their names where both have a header.

use std::path::Path;

use ps_core::schema::{Column, Schema};

use super::errors::file_error;
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
/// It is a header, but not of all columns that are needed.
pub(super) fn places_of_schema(
    path: &Path,
    schema: &Schema,
    needs_label: bool,
    first: &Row<'_>,
) -> Result<Option<Vec<Option<usize>>>, Error> {
    if !schema.header {
        return Ok(None);
    }
    let label = schema.label().map(|(place, _)| place);
    let columns = || schema.columns.iter().enumerate();
    // A column without a name, such as an index, stays where it was.
    let place = |(at, column): (usize, &Column)| match column.name.as_str() {
        "" => Some(at).filter(|at| *at < first.len() && first.get(*at).is_empty()),
        name => first.iter().position(|value| value == name),
    };
    let is_needed =
        |at: usize| schema.columns[at].width() > 0 || (needs_label && Some(at) == label);
    let needed = || columns().filter(|(at, _)| is_needed(*at));
    let missing: Vec<String> = needed()
        .filter(|it| place(*it).is_none())
        .map(|(at, _)| format!("`{}`", schema.column_name(at)))
        .collect();
    let count = needed().count();
    // Some of the names could be texts of a sample by chance; most of them are not.
    if missing.len() * 2 >= count.max(1) && missing.len() > usize::from(count > 1) {
        return Ok(None);
    }
    if !missing.is_empty() {
        let problem = format!(
            "no column named {} in its header, which is: {}; the training files have it",
            missing.join(", "),
            first.iter().collect::<Vec<_>>().join(", ")
        );
        return Err(file_error(path, problem));
    }
    Ok(Some(columns().map(place).collect()))
}

/// The places of a schema's columns in lines that have all of them but the label.
pub(super) fn places_without_label(schema: &Schema) -> Vec<Option<usize>> {
    let label = schema.label().map(|(place, _)| place);
    let place = |at: usize| match label {
        Some(label) if at == label => None,
        Some(label) if at > label => Some(at - 1),
        _ => Some(at),
    };
    (0..schema.columns.len()).map(place).collect()
}
