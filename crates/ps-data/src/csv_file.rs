//! CSV files, any number of them as one set, with or without a header.
//!
//! The training files are read twice, first to learn what each column holds, then to encode them, so
//! that no text is kept in memory. Columns of numbers are standardised with the mean and deviation
//! of the training set; other columns become one input for each text that the training set has.

mod categories;
mod column;
mod errors;
mod header;
mod label;
mod numeric_reader;
mod rows;
mod schema;

use std::path::{Path, PathBuf};

use crate::byte_stream::open_text;
use crate::samples_builder::SamplesBuilder;
use crate::{Dataset, Error, Samples, Wrapper};
use errors::{columns_error, file_error, value_error};
pub use label::LabelColumn;
pub(crate) use numeric_reader::NumericReader;
use rows::Rows;
use schema::Schema;

/// Loads both sets; without test files the test set is empty.
pub(crate) fn load(
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
    let mut samples = SamplesBuilder::default();
    for path in paths {
        encode_file(path, schema, wrapper, &mut samples)?;
    }
    let Some(path) = paths.last() else {
        return Ok(Samples::none(vec![schema.width()]));
    };
    if samples.len() == 0 {
        return Err(file_error(path, "no line of values; expected at least one"));
    }
    samples.build(path)
}

fn encode_file(
    path: &Path,
    schema: &Schema,
    wrapper: Wrapper,
    samples: &mut SamplesBuilder,
) -> Result<(), Error> {
    let names = schema.names.as_deref();
    let shape = [schema.width()];
    let mut rows = Rows::new(path, open_text(path, wrapper)?);
    let mut at_start = true;
    while let Some((line, row)) = rows.next_row()? {
        if row.len() != schema.columns {
            let like = "the training file";
            return Err(columns_error(path, line, row.len(), schema.columns, like));
        }
        // A wrapped file is several, each of which may begin with the header.
        let may_be_header = std::mem::take(&mut at_start) || wrapper == Wrapper::Recordio;
        if may_be_header && names.is_some_and(|names| row == *names) {
            continue;
        }
        for (column, encoding) in &schema.encodings {
            let encoded = encoding.encode(&row[*column], &mut samples.inputs);
            encoded.map_err(|problem| value_error(path, line, *column, names, problem))?;
        }
        let class = schema.classes.class(&row[schema.label]);
        let class =
            class.map_err(|problem| value_error(path, line, schema.label, names, problem))?;
        samples.push(path, &shape, class)?;
    }
    Ok(())
}
