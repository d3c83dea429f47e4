//! CSV files, any number of them as one set, with or without a header.
//!
//! The training files are read twice, first to learn what each column holds (a [`Schema`]), then to encode them, so
//! that no text is kept in memory. What a line means is decided in `ps_core::schema`; here are the files.

mod delimiter;
mod encode;
mod errors;
mod layout;
mod learn;
mod looks;
mod numeric_reader;
mod plain_line;
mod quotes;
mod row;
mod rows;
mod sample_encoder;
mod schema_reader;
mod shares;
mod table;
mod table_reader;
mod unseen_labels;
mod unseen_texts;
mod values;

use std::path::PathBuf;
use std::sync::Arc;

use ps_core::TaskChoice;
use ps_core::schema::{ColumnUse, LabelSummary, Schema, Target, targets};

use crate::samples_builder::SamplesBuilder;
use crate::{DataSource, Dataset, Error, KnownSchema, Label, Samples, Wrapper};
use errors::file_error;
pub(crate) use learn::Extent;
pub(crate) use numeric_reader::{NumericReader, plain_schema};
pub use sample_encoder::SampleEncoder;
pub use schema_reader::{KeptColumn, SchemaReader, unused_columns};
pub(crate) use shares::{schema_of_sums, sums_of_files, sums_of_stream};
pub(crate) use table_reader::TableReader;
use unseen_labels::UnseenLabels;
pub use unseen_texts::UnseenTexts;

/// Loads all sets; one without files is empty.
pub(crate) fn load(
    train: &[PathBuf],
    test: &[PathBuf],
    validation: &[PathBuf],
    source: &DataSource,
) -> Result<Dataset, Error> {
    let schema = learn::learn(train, &source.table, source.wrapper, u64::MAX)?;
    load_known(train, test, validation, schema, source)
}

/// Loads all sets of a table that is known; one without files is empty.
pub(crate) fn load_known(
    train: &[PathBuf],
    test: &[PathBuf],
    validation: &[PathBuf],
    mut schema: Schema,
    source: &DataSource,
) -> Result<Dataset, Error> {
    schema.put_classes_first(&source.classes_first);
    let (mut schema, wrapper) = (Arc::new(schema), source.wrapper);
    let train = match &source.schema {
        // What a model that is trained further does not know yet, it learns.
        Some(KnownSchema::OfModel(_)) if !source.sharded => {
            let (train, new) = read_further(train, &schema, wrapper)?;
            schema = Arc::new(with_classes(&schema, new));
            train
        }
        // A host's share may be empty, also with a header.
        _ if source.sharded => read_any(train, &schema, wrapper, known_label)?,
        _ => read_all(train, &schema, wrapper, known_label)?,
    };
    let schema_digest = Some(schema.digest());
    let (test, unseen) = read_labelled(test, &schema, source)?;
    let schema = Arc::new(with_classes(&schema, unseen));
    let (validation, unseen) = read_labelled(validation, &schema, source)?;
    let schema = Arc::new(with_classes(&schema, unseen));
    let (task, outputs) = (schema.task(), schema.output_names().len());
    let ids = schema.id_columns();
    let schema = Some(schema);
    Ok(Dataset { train, test, validation, ids, task, outputs, schema, schema_digest })
}

/// What the beginning of the training files teaches, of which no process reads more before it trains.
///
/// # Errors
/// As [`load`].
pub(crate) fn schema_of_beginning(train: &[PathBuf], source: &DataSource) -> Result<Schema, Error> {
    let schema = learn::learn(train, &source.table, source.wrapper, source.schema_samples)?;
    if schema.samples >= source.schema_samples {
        tracing::info!(
            "the columns are learnt from the first {} training samples (--schema-samples)",
            schema.samples
        );
    }
    Ok(schema)
}

/// Reads files with the schema of others.
///
/// # Errors
/// Files that are not as the schema says, or a label that it does not know: no model made with it can tell it.
pub fn load_with_schema(files: &[PathBuf], schema: &Arc<Schema>) -> Result<Samples, Error> {
    read_all(files, schema, Wrapper::None, known_label)
}

fn known_label(reader: &SchemaReader) -> Result<Label, Error> {
    reader.label()?.ok_or_else(|| reader.unknown_class())
}

/// Samples with their labels, and the classes that training never saw.
fn read_labelled(
    files: &[PathBuf],
    schema: &Arc<Schema>,
    source: &DataSource,
) -> Result<(Samples, Vec<String>), Error> {
    let (samples, unseen) = read_with_unseen(files, schema, source.wrapper, |_| ())?;
    let names = unseen.into_names(samples.len(), source.streamed)?;
    Ok((samples, names))
}

/// Training samples, and the classes that the model does not know yet that is trained further.
fn read_further(
    files: &[PathBuf],
    schema: &Arc<Schema>,
    wrapper: Wrapper,
) -> Result<(Samples, Vec<String>), Error> {
    let mut labels = LabelSummary::default();
    let rules = schema.value_rules();
    let (samples, unseen) = read_with_unseen(files, schema, wrapper, |reader| {
        labels.add(reader.label_text().unwrap_or_default(), &rules);
    })?;
    let names = unseen.into_new_names();
    let told = targets(&[&labels], TaskChoice::Auto).map(|(targets, _)| targets);
    match (told.as_deref(), files.first()) {
        (Ok([Target::Classes(_)]), _) | (_, None) => Ok((samples, names)),
        _ if names.is_empty() => Ok((samples, names)),
        (_, Some(path)) => {
            let problem = format!(
                "the labels look like numbers that are measured, and the initial model tells {} classes; say which column is \
                 the label with --label, or start from weights alone with the file model.safetensors",
                schema.classes().len()
            );
            Err(file_error(path, problem))
        }
    }
}

fn read_with_unseen<'a>(
    files: &[PathBuf],
    schema: &'a Arc<Schema>,
    wrapper: Wrapper,
    mut look: impl FnMut(&SchemaReader),
) -> Result<(Samples, UnseenLabels<'a>), Error> {
    let mut unseen = UnseenLabels::new(schema);
    let samples = read_all(files, schema, wrapper, |reader| {
        look(reader);
        match reader.label()? {
            Some(label) => Ok(label),
            None => unseen.class(reader).map(Label::Class),
        }
    })?;
    Ok((samples, unseen))
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

/// Reads all files as the schema says.
fn read_all(
    paths: &[PathBuf],
    schema: &Arc<Schema>,
    wrapper: Wrapper,
    label: impl FnMut(&SchemaReader) -> Result<Label, Error>,
) -> Result<Samples, Error> {
    let samples = read_any(paths, schema, wrapper, label)?;
    match paths.last().filter(|_| samples.is_empty()) {
        Some(path) => Err(file_error(path, "no line of values; expected at least one")),
        None => Ok(samples),
    }
}

/// The same of files that may have no sample.
fn read_any(
    paths: &[PathBuf],
    schema: &Arc<Schema>,
    wrapper: Wrapper,
    mut label: impl FnMut(&SchemaReader) -> Result<Label, Error>,
) -> Result<Samples, Error> {
    let (mut samples, shape) = (SamplesBuilder::default(), [schema.width()]);
    for path in paths {
        let mut reader = SchemaReader::wrapped(path, schema.clone(), true, wrapper)?;
        let before = samples.len();
        while reader.next_sample(&mut samples.inputs)? {
            let label = label(&reader)?;
            samples.push(path, &shape, label)?;
        }
        reader.tell_unknown((samples.len() - before) as u64);
    }
    match paths.last().filter(|_| samples.len() > 0) {
        Some(path) => samples.build(path),
        None => Ok(Samples::none(shape.to_vec())),
    }
}
