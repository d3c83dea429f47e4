//! CSV files, any number of them as one set, with or without a header.
//!
//! The training files are read twice, first to learn what each column holds (a [`Schema`]), then to encode them, so
//! that no text is kept in memory. What a line means is decided in `ps_core::schema`; here are the files.

mod delimiter;
mod encode;
mod errors;
mod layout;
mod learn;
mod numeric_reader;
mod quotes;
mod row;
mod rows;
mod sample_encoder;
mod schema_reader;
mod table;
mod unseen_labels;

use std::path::PathBuf;
use std::sync::Arc;

use ps_core::schema::{ColumnUse, Schema};

use crate::samples_builder::SamplesBuilder;
use crate::table_options::TableOptions;
use crate::{Dataset, Error, Samples, Wrapper};
use errors::file_error;
pub(crate) use numeric_reader::{NumericReader, plain_schema};
pub use sample_encoder::SampleEncoder;
pub use schema_reader::{SchemaReader, unused_columns};
use unseen_labels::UnseenLabels;

/// Loads all sets; one without files is empty.
pub(crate) fn load(
    train: &[PathBuf],
    test: &[PathBuf],
    validation: &[PathBuf],
    options: &TableOptions,
    wrapper: Wrapper,
) -> Result<Dataset, Error> {
    let schema = learn::learn(train, options, wrapper)?;
    check_target(train, &schema)?;
    let schema = Arc::new(schema);
    let train = read_all(train, &schema, wrapper, |reader| {
        reader.class().ok_or_else(|| reader.unknown_class())
    })?;
    let (test, unseen) = read_labelled(test, &schema, wrapper)?;
    let schema = Arc::new(with_classes(&schema, unseen));
    let (validation, unseen) = read_labelled(validation, &schema, wrapper)?;
    let schema = Arc::new(with_classes(&schema, unseen));
    let classes = schema.classes().len();
    Ok(Dataset { validation, schema: Some(schema), ..Dataset::new(train, test, classes) })
}

/// Reads files with the schema of others.
///
/// # Errors
/// Files that are not as the schema says, or a label that it does not know: no model made with it can tell it.
pub fn load_with_schema(files: &[PathBuf], schema: &Arc<Schema>) -> Result<Samples, Error> {
    read_all(files, schema, Wrapper::None, |reader| {
        reader.class().ok_or_else(|| reader.unknown_class())
    })
}

/// Samples with their labels, and the labels that training never saw.
fn read_labelled(
    files: &[PathBuf],
    schema: &Arc<Schema>,
    wrapper: Wrapper,
) -> Result<(Samples, Vec<String>), Error> {
    let mut unseen = UnseenLabels::new(schema);
    let samples = read_all(files, schema, wrapper, |reader| match reader.class() {
        Some(class) => Ok(class),
        None => unseen.class(reader),
    })?;
    let names = unseen.into_names(samples.len())?;
    Ok((samples, names))
}

/// The schema with these classes, too.
fn with_classes(schema: &Schema, names: Vec<String>) -> Schema {
    let mut schema = schema.clone();
    for column in &mut schema.columns {
        if let ColumnUse::Class { classes } = &mut column.usage {
            classes.extend_from_slice(&names);
        }
    }
    schema
}

/// Whether there is a model for this label.
fn check_target(train: &[PathBuf], schema: &Schema) -> Result<(), Error> {
    let Some((at, _)) = schema.label().filter(|_| schema.classes().is_empty()) else {
        return Ok(());
    };
    let path = train.first().cloned().unwrap_or_default();
    let problem = format!(
        "column `{}` holds measured numbers, and only classes can be trained on; name another column with --label, or \
         say --label-kind class to take each distinct number for a class",
        schema.column_name(at)
    );
    Err(file_error(&path, problem))
}

/// Reads all files as the schema says.
fn read_all(
    paths: &[PathBuf],
    schema: &Arc<Schema>,
    wrapper: Wrapper,
    mut class: impl FnMut(&SchemaReader) -> Result<u32, Error>,
) -> Result<Samples, Error> {
    let (mut samples, shape) = (SamplesBuilder::default(), [schema.width()]);
    for path in paths {
        let mut reader = SchemaReader::wrapped(path, schema.clone(), true, wrapper)?;
        let before = samples.len();
        while reader.next_sample(&mut samples.inputs)? {
            let class = class(&reader)?;
            samples.push(path, &shape, class)?;
        }
        reader.tell_unknown((samples.len() - before) as u64);
    }
    let Some(path) = paths.last() else {
        return Ok(Samples::none(shape.to_vec()));
    };
    if samples.len() == 0 {
        return Err(file_error(path, "no line of values; expected at least one"));
    }
    samples.build(path)
}
