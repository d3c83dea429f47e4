//! CSV files: `train.csv` and `test.csv`, with or without a header.
//!
//! The training file is read twice, first to learn what each column holds, then to encode it, so
//! that no text is kept in memory. Columns of numbers are standardised with the mean and deviation
//! of the training set; other columns become one input for each text that the training set has.

mod header;
mod label;
mod rows;
mod schema;

use std::path::Path;

use super::limits::{FEATURE_BYTES_MAX, SAMPLES_MAX};
use super::{Dataset, Error, Features, Samples};
pub use label::LabelColumn;
use rows::Rows;
use schema::Schema;

/// Loads both files.
pub(super) fn load(train: &Path, test: &Path, label: &LabelColumn) -> Result<Dataset, Error> {
    let schema = Schema::learn(train, label)?;
    let train_samples = encode(train, &schema)?;
    let test_samples = encode(test, &schema)?;
    Ok(Dataset { train: train_samples, test: test_samples, classes: schema.classes.len() })
}

/// Reads a file as the schema says.
fn encode(path: &Path, schema: &Schema) -> Result<Samples, Error> {
    let names = schema.names.as_deref();
    let width: usize = schema.encodings.iter().map(|(_, encoding)| encoding.width()).sum();
    let mut rows = Rows::open(path)?;
    let (mut inputs, mut labels) = (Vec::new(), Vec::new());
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
        let header = std::mem::take(&mut at_start) && names.is_some_and(|names| row == *names);
        if header {
            continue;
        }
        for (column, encoding) in &schema.encodings {
            let encoded = encoding.encode(&row[*column], &mut inputs);
            encoded.map_err(|problem| value_error(path, line, *column, names, problem))?;
        }
        let class = schema.classes.class(&row[schema.label]);
        labels
            .push(class.map_err(|problem| value_error(path, line, schema.label, names, problem))?);
        check_size(path, labels.len(), inputs.len())?;
    }
    if labels.is_empty() {
        return Err(table(path, "no line of values; expected at least one"));
    }
    inputs.shrink_to_fit();
    let misfit = || table(path, "the columns gave an unexpected number of inputs");
    Samples::new(Features::Floats(inputs), vec![width], labels).ok_or_else(misfit)
}

fn check_size(path: &Path, samples: usize, inputs: usize) -> Result<(), Error> {
    let bytes = inputs.saturating_mul(size_of::<f32>());
    let (what, found, limit) = if samples > SAMPLES_MAX {
        ("the number of samples", samples, SAMPLES_MAX)
    } else if bytes > FEATURE_BYTES_MAX {
        ("the size of the inputs in memory, in bytes,", bytes, FEATURE_BYTES_MAX)
    } else {
        return Ok(());
    };
    Err(Error::TooLarge {
        path: path.to_owned(),
        what,
        found: found as u128,
        limit,
        hint: "use fewer lines, or fewer columns of text (each distinct text is one input)",
    })
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
