//! CSV files, any number of them as one set, with or without a header.
//!
//! The training files are read twice, first to learn what each column holds, then to encode them, so
//! that no text is kept in memory. Columns of numbers are standardised with the mean and deviation
//! of the training set; other columns become one input for each text that the training set has.

mod header;
mod label;
mod plain;
mod rows;
mod schema;

use std::path::{Path, PathBuf};

use super::collect::Collected;
use super::{Dataset, Error, Samples, Wrapper, input};
pub use label::LabelColumn;
pub(super) use plain::PlainReader;
use rows::Rows;
use schema::Schema;

/// Loads both sets; without test files the test set is empty.
pub(super) fn load(
    train: &[PathBuf],
    test: &[PathBuf],
    label: &LabelColumn,
    wrapper: Wrapper,
) -> Result<Dataset, Error> {
    let schema = Schema::learn(train, label, wrapper)?;
    let train = encode(train, &schema, wrapper)?;
    let test = encode(test, &schema, wrapper)?;
    Ok(Dataset { train, test, classes: schema.classes.len() })
}

/// Reads the files as the schema says.
fn encode(paths: &[PathBuf], schema: &Schema, wrapper: Wrapper) -> Result<Samples, Error> {
    let mut collected = Collected::default();
    for path in paths {
        encode_file(path, schema, wrapper, &mut collected)?;
    }
    let Some(path) = paths.last() else {
        return Ok(Samples::none(vec![schema.width()]));
    };
    if collected.len() == 0 {
        return Err(table(path, "no line of values; expected at least one"));
    }
    collected.samples(path)
}

fn encode_file(
    path: &Path,
    schema: &Schema,
    wrapper: Wrapper,
    collected: &mut Collected,
) -> Result<(), Error> {
    let names = schema.names.as_deref();
    let shape = [schema.width()];
    let mut rows = Rows::new(path, input::open_text(path, wrapper)?);
    let mut at_start = true;
    while let Some((line, row)) = rows.next_row()? {
        if row.len() != schema.columns {
            let problem = format!(
                "{} columns in line {line}, expected {} as in the training file",
                row.len(),
                schema.columns
            );
            return Err(table(path, problem));
        }
        // A wrapped file is several, each of which may begin with the header.
        let may_be_header = std::mem::take(&mut at_start) || wrapper == Wrapper::Recordio;
        if may_be_header && names.is_some_and(|names| row == *names) {
            continue;
        }
        for (column, encoding) in &schema.encodings {
            let encoded = encoding.encode(&row[*column], &mut collected.inputs);
            encoded.map_err(|problem| value_error(path, line, *column, names, problem))?;
        }
        let class = schema.classes.class(&row[schema.label]);
        let class =
            class.map_err(|problem| value_error(path, line, schema.label, names, problem))?;
        collected.push(path, &shape, class)?;
    }
    Ok(())
}

fn table(path: &Path, problem: impl Into<String>) -> Error {
    Error::Table { path: path.to_owned(), problem: problem.into() }
}

fn value_error(
    path: &Path,
    line: u64,
    column: usize,
    names: Option<&[String]>,
    problem: String,
) -> Error {
    Error::Value { path: path.to_owned(), line, column: place(column, names), problem }
}

/// A column in words.
fn place(column: usize, names: Option<&[String]>) -> String {
    match names.and_then(|names| names.get(column)) {
        Some(name) => format!("column {} (`{name}`)", column + 1),
        None => format!("column {}", column + 1),
    }
}
