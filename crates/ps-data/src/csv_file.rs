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
mod table;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ps_core::schema::{ColumnUse, Schema};

use crate::byte_stream::open_text;
use crate::limits::CLASSES_MAX;
use crate::samples_builder::SamplesBuilder;
use crate::table_options::TableOptions;
use crate::{Dataset, Error, Samples, Wrapper};
use encode::Encoder;
use errors::{columns_error, file_error, value_error};
use layout::places_of_schema;
pub(crate) use numeric_reader::NumericReader;
use rows::Rows;

/// Loads both sets; without test files the test set is empty.
pub(crate) fn load(
    train: &[PathBuf],
    test: &[PathBuf],
    options: &TableOptions,
    wrapper: Wrapper,
) -> Result<Dataset, Error> {
    let mut schema = learn::learn(train, options, wrapper)?;
    check_target(train, &schema)?;
    let mut encoder = Encoder::new(&schema);
    let train = encode(train, &schema, wrapper, &mut encoder, &mut None)?;
    (encoder.missing, encoder.unknown) = (0, 0);
    let mut unseen = Some(UnseenLabels::default());
    let test = encode(test, &schema, wrapper, &mut encoder, &mut unseen)?;
    if let Some(unseen) = unseen {
        unseen.take_into(&mut schema, test.len())?;
    }
    if encoder.missing > 0 || encoder.unknown > 0 {
        tracing::info!(
            "test samples: {} missing values, {} texts that no training sample has",
            encoder.missing,
            encoder.unknown
        );
    }
    let classes = schema.classes().len();
    Ok(Dataset { train, test, classes, schema: Some(Arc::new(schema)) })
}

/// Labels of test samples that no training sample has.
#[derive(Default)]
struct UnseenLabels {
    samples: usize,
    names: Vec<String>,
    /// The first, as an error.
    first: Option<Error>,
}

impl UnseenLabels {
    /// Makes them classes: a model never tells them, and that counts.
    ///
    /// # Errors
    /// They are most of the labels: another column, or another set.
    fn take_into(self, schema: &mut Schema, test_samples: usize) -> Result<(), Error> {
        match self.first {
            Some(error) if self.samples * 2 > test_samples => return Err(error),
            Some(error) => tracing::warn!(
                "{} of {test_samples} test samples have a class that no training sample has, which a model cannot tell: {error}",
                self.samples
            ),
            None => (),
        }
        for column in &mut schema.columns {
            if let ColumnUse::Class { classes } = &mut column.usage {
                classes.extend_from_slice(&self.names);
            }
        }
        Ok(())
    }
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

/// Reads the files as the schema says.
fn encode(
    paths: &[PathBuf],
    schema: &Schema,
    wrapper: Wrapper,
    encoder: &mut Encoder,
    unseen: &mut Option<UnseenLabels>,
) -> Result<Samples, Error> {
    let mut samples = SamplesBuilder::default();
    for path in paths {
        encode_file(path, schema, wrapper, encoder, unseen, &mut samples)?;
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
    encoder: &mut Encoder,
    unseen: &mut Option<UnseenLabels>,
    samples: &mut SamplesBuilder,
) -> Result<(), Error> {
    let shape = [encoder.width()];
    let mut rows = Rows::new(path, open_text(path, wrapper)?, schema.delimiter as u8);
    let (mut at_start, mut places, mut columns) = (true, None, schema.columns.len());
    let name = |at: usize| Some(schema.columns[at].name.as_str()).filter(|_| schema.header);
    while let Some((line, row)) = rows.next_row()? {
        // A wrapped file is several, each of which may begin with the header.
        let may_be_header = std::mem::take(&mut at_start) || wrapper == Wrapper::Recordio;
        if may_be_header && let Some(found) = places_of_schema(path, schema, true, &row)? {
            (places, columns) = (Some(found), row.len());
            continue;
        }
        if row.len() != columns {
            return Err(columns_error(path, line, row.len(), columns, "the training file"));
        }
        let wrong = |(at, problem)| value_error(path, line, at, name(at), problem);
        encoder.inputs(&row, places.as_deref(), &mut samples.inputs).map_err(wrong)?;
        let at = encoder.label();
        let label = row.get(places.as_ref().and_then(|places| places[at]).unwrap_or(at));
        let class = match (encoder.class(label), unseen.as_mut()) {
            (Some(class), _) => class,
            (None, Some(unseen)) if !label.is_empty() && schema.classes().len() < CLASSES_MAX => {
                unseen.samples += 1;
                unseen.first.get_or_insert_with(|| wrong((at, no_class(label, schema))));
                let (class, name) = encoder.add_class(label);
                unseen.names.push(name);
                class
            }
            (None, _) => return Err(wrong((at, no_class(label, schema)))),
        };
        samples.push(path, &shape, class)?;
    }
    Ok(())
}

fn no_class(label: &str, schema: &Schema) -> String {
    let (_, column) = schema.label().unzip();
    let known = column.map(ps_core::schema::Column::words).unwrap_or_default();
    format!("label `{label}` does not occur in the training set; {known}")
}
