//! Reading all sets into memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ps_core::schema::Schema;
use ps_core::{Task, TaskChoice};

use crate::dataset_files::DatasetFiles;
use crate::held_out::hold_out;
use crate::idx::{IdxPair, IdxReader};
use crate::limits::CLASSES_MAX;
use crate::sample_reader::{Next, SampleReader as _};
use crate::samples_builder::SamplesBuilder;
use crate::stream::{FileSequence, first_shape, training_stream};
use crate::{
    DataSource, Dataset, Error, Format, KnownSchema, Samples, StreamInput, StreamSource, csv_file,
    text,
};

/// Loads the training and test data that a source describes; without a folder, the bundled digits.
///
/// Without test files the test set is empty. A host whose share of a sharded set is empty has no
/// training samples, and no shape unless the test samples have one.
///
/// # Errors
/// No known set of files, or one that is damaged; the error names the file.
pub fn load(source: &DataSource) -> Result<Dataset, Error> {
    let data = load_sets(source)?;
    match source.held_out {
        Some(share) => hold_out(data, share),
        None => Ok(data),
    }
}

fn load_sets(source: &DataSource) -> Result<Dataset, Error> {
    let data = match (&source.train, &source.test) {
        (None, None)
            if !source.sharded && source.ignore_files.is_empty() && source.validation.is_none() =>
        {
            only_classes("the bundled digits", source)?;
            bundled_digits()?
        }
        (None, _) if !source.sharded && source.validation.is_some() => {
            let problem = "--validation without --data: its files belong to a training set; give --data DIR \
                           too, or hold samples out with --validation-split";
            return Err(Error::Options(problem.to_owned()));
        }
        (None, Some(_)) if !source.sharded => {
            let problem =
                "--test without --data: there is nothing to train on; give --data DIR too";
            return Err(Error::Options(problem.to_owned()));
        }
        _ => {
            let files = DatasetFiles::find(source)?;
            let table = files.table().map(Path::to_owned);
            let data = match source.streamed {
                true => beside_stream(&files, source)?,
                false => whole(files, source)?,
            };
            let data = with_task(with_known_schema(data, source)?, source)?;
            return with_plain_schema(with_classes(data, source.classes)?, table, source);
        }
    };
    with_classes(with_task(with_known_schema(data, source)?, source)?, source.classes)
}

/// What a process without a file of the table knows of it, where a schema is given.
fn with_known_schema(data: Dataset, source: &DataSource) -> Result<Dataset, Error> {
    let Dataset { train, test, validation, .. } = &data;
    let is_empty = [train, test, validation].into_iter().all(|set| set.is_empty());
    match source.schema.as_ref().filter(|_| data.schema.is_none()) {
        Some(KnownSchema::File(path) | KnownSchema::Read { path, .. }) if !is_empty => {
            let path = path.display();
            return Err(Error::Options(format!("--schema {path}: the data are no table")));
        }
        Some(KnownSchema::Learnt(_)) if !is_empty => {
            let problem = "the data here are no table, and those of other members are: all data of a job must be of one set";
            return Err(Error::Options(problem.to_owned()));
        }
        Some(_) if is_empty => (),
        _ => return Ok(data),
    }
    csv_file::load_known(&[], &[], &[], known_schema(source)?, source)
}

/// What the labels are, where no schema says it: what the user says, or else classes.
fn with_task(mut data: Dataset, source: &DataSource) -> Result<Dataset, Error> {
    if data.schema.is_some() {
        return Ok(data);
    }
    data.task = source.table.task.task().unwrap_or_default();
    if data.task != Task::Classification && data.outputs == 0 {
        data.outputs = source.table.labels.len().max(1);
    }
    if source.table.task == TaskChoice::Binary && data.outputs != 2 && data.outputs != 0 {
        let found = data.outputs;
        return Err(Error::Options(format!(
            "--task binary: the labels are of {found} classes, expected 2"
        )));
    }
    Ok(data)
}

/// Whether a job on data whose labels are always classes asks for nothing else.
fn only_classes(what: &str, source: &DataSource) -> Result<(), Error> {
    match source.table.task.task() {
        None | Some(Task::Classification) => Ok(()),
        Some(task) => Err(Error::Options(format!(
            "--task {task}: the labels of {what} are classes; numbers and several labels are read from CSV and \
             RecordIO-protobuf"
        ))),
    }
}

/// A table that no process sees whole is taken as it is: who uses the model must know that, too.
fn with_plain_schema(
    mut data: Dataset,
    table: Option<PathBuf>,
    source: &DataSource,
) -> Result<Dataset, Error> {
    if let (None, Some(path)) = (&data.schema, table) {
        let schema = csv_file::plain_schema(&path, source, data.outputs)?;
        data.schema = schema.map(Arc::new);
        if data.task == Task::Regression {
            tracing::warn!(
                "labels are learnt as they are, for no process sees all of them: a model learns best those with a mean of about 0 \
                 and a deviation of about 1"
            );
        }
    }
    Ok(data)
}

/// Both sets, read into memory.
fn whole(files: DatasetFiles, source: &DataSource) -> Result<Dataset, Error> {
    match files {
        DatasetFiles::Idx(train, test, validation) => {
            only_classes("IDX files", source)?;
            joined(idx_set(train)?, idx_set(test)?, idx_set(validation)?)
        }
        DatasetFiles::Files(Format::Csv, train, test, validation) if source.schema.is_some() => {
            csv_file::load_known(&train, &test, &validation, known_schema(source)?, source)
        }
        DatasetFiles::Files(Format::Csv, train, test, validation) if !source.sharded => {
            csv_file::load(&train, &test, &validation, source)
        }
        DatasetFiles::Files(Format::Text, train, test, validation) => {
            only_classes("text", source)?;
            text::load(&train, &test, &validation, source)
        }
        DatasetFiles::Files(format, train, test, validation) => {
            let set = |files: &[PathBuf]| plain_set(files, format, source);
            joined(set(&train)?, set(&test)?, set(&validation)?)
        }
    }
}

/// What is measured with, and as a training set without samples what the first of the stream tells.
fn beside_stream(files: &DatasetFiles, source: &DataSource) -> Result<Dataset, Error> {
    if let DatasetFiles::Idx(..) | DatasetFiles::Files(Format::Text, ..) = files {
        only_classes("IDX files and text", source)?;
    }
    if let DatasetFiles::Files(Format::Csv, train, test, validation) = files
        && (source.schema.is_some() || !source.sharded)
    {
        return beside_table(train, test, validation, source);
    }
    let stream = training_stream(files, source);
    let first = first_shape(&stream)?;
    if let (None, StreamInput::Files(paths), false) = (&first, &stream.from, source.sharded) {
        return Err(Error::Options(format!(
            "--stream: no sample in {} training file(s), expected at least one; is --data right?",
            paths.len()
        )));
    }
    let train = first.map(|(shape, path)| (Samples::none(shape), path));
    let (test, validation) = match files {
        DatasetFiles::Idx(_, test, validation) => {
            (idx_set(test.clone())?, idx_set(validation.clone())?)
        }
        DatasetFiles::Files(format, _, test, validation) => {
            (measured(test, *format, source)?, measured(validation, *format, source)?)
        }
    };
    let data = joined(train, test, validation)?;
    match stream.format {
        Format::Text => Ok(Dataset { outputs: text::CLASSES, ..data }),
        _ => Ok(data),
    }
}

/// What is measured with beside a streamed table, which is known by its beginning.
fn beside_table(
    train: &[PathBuf],
    test: &[PathBuf],
    validation: &[PathBuf],
    source: &DataSource,
) -> Result<Dataset, Error> {
    let mut schema = match source.schema {
        Some(_) => known_schema(source)?,
        None => csv_file::schema_of_beginning(train, source)?,
    };
    if let Some(classes) = source.classes {
        schema.number_classes(classes);
    }
    csv_file::load_known(&[], test, validation, schema, source)
}

/// The schema that is given.
///
/// # Errors
/// Its file cannot be read, or is none.
pub fn known_schema(source: &DataSource) -> Result<Schema, Error> {
    let path = match &source.schema {
        Some(
            KnownSchema::OfModel(schema)
            | KnownSchema::Read { schema, .. }
            | KnownSchema::Learnt(schema),
        ) => {
            return Ok((**schema).clone());
        }
        Some(KnownSchema::File(path)) => path.clone(),
        None => PathBuf::new(),
    };
    let text = std::fs::read(&path);
    let text = text.map_err(|source| Error::Read { path: path.clone(), source })?;
    Schema::from_json(&text).map_err(|problem| Error::File { path, problem })
}

/// A set that is measured with, beside a stream.
fn measured(files: &[PathBuf], format: Format, source: &DataSource) -> Result<LoadedSet, Error> {
    if format != Format::Text {
        return plain_set(files, format, source);
    }
    let samples = text::read(files, source)?;
    Ok(files.first().map(|path| (samples, path.clone())))
}

/// The data set inside the program: 1,437 + 360 real handwritten digits of 8 x 8 pixels.
///
/// # Errors
/// None unless the files were damaged when the program was built.
pub fn bundled_digits() -> Result<Dataset, Error> {
    macro_rules! samples {
        ($images:literal, $labels:literal) => {{
            let pair = IdxPair {
                images: PathBuf::from(concat!("(bundled digits) ", $images)),
                labels: PathBuf::from(concat!("(bundled digits) ", $labels)),
            };
            let images = include_bytes!(concat!("../../../data/digits/", $images));
            let labels = include_bytes!(concat!("../../../data/digits/", $labels));
            Some((IdxReader::from_bytes(&pair, images, labels)?.read_all()?, pair.images))
        }};
    }
    joined(
        samples!("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        samples!("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
        None,
    )
}

/// A set with the path that errors name, if there is one.
type LoadedSet = Option<(Samples, PathBuf)>;

/// Reads a pair of IDX files, if there is one.
fn idx_set(pair: Option<IdxPair>) -> Result<LoadedSet, Error> {
    pair.map(|pair| Ok((IdxReader::open(&pair)?.read_all()?, pair.images))).transpose()
}

/// Reads files in which every sample is understood by itself, as one set.
fn plain_set(files: &[PathBuf], format: Format, source: &DataSource) -> Result<LoadedSet, Error> {
    let mut builder = SamplesBuilder::default();
    let mut first: Option<PathBuf> = None;
    let mut samples = FileSequence::new(StreamSource::of_files(files.to_vec(), format, source));
    while let Next::Sample(label) = samples.next(true, &mut builder.inputs)? {
        let (shape, (path, _)) = (samples.shape(), samples.position());
        let first = &*first.get_or_insert_with(|| path.to_owned());
        if let Some(expected) = builder.shape()
            && expected != shape
        {
            return Err(Error::Mismatch {
                path: path.to_owned(),
                found: format!("samples of the shape {shape:?}"),
                other: first.clone(),
                expected: format!("has samples of the shape {expected:?}"),
                hint: "all files of a set must have samples of one shape",
            });
        }
        builder.push(path, shape, label)?;
    }
    match (first, files) {
        (Some(path), _) => Ok(Some((builder.build(&path)?, path))),
        (None, [path, ..]) if !source.sharded => Err(Error::File {
            path: path.clone(),
            problem: format!("no sample in {} file(s), expected at least one", files.len()),
        }),
        (None, _) => Ok(None),
    }
}

/// All sets, with one shape.
fn joined(train: LoadedSet, test: LoadedSet, validation: LoadedSet) -> Result<Dataset, Error> {
    let sets = [&train, &test, &validation];
    let first = sets.into_iter().flatten().next();
    let shape = first.map(|(samples, _)| samples.shape().to_vec()).unwrap_or_default();
    for (samples, path) in sets.into_iter().flatten() {
        if samples.shape() != shape
            && let Some((_, first_path)) = first
        {
            return Err(Error::Mismatch {
                path: path.clone(),
                found: format!("samples of the shape {:?}", samples.shape()),
                other: first_path.clone(),
                expected: format!("has samples of the shape {shape:?}"),
                hint: "training and test data must come from one set",
            });
        }
    }
    let set = |found: LoadedSet| found.map_or(Samples::none(shape.clone()), |(samples, _)| samples);
    let (train, test, validation) = (set(train), set(test), set(validation));
    let outputs = [&train, &test, &validation].map(|samples| samples.labels().outputs());
    let outputs = outputs.into_iter().max().unwrap_or_default();
    Ok(Dataset { validation, ..Dataset::new(train, test, outputs) })
}

/// The data with the number of classes that was given, if it was.
pub fn with_classes(mut data: Dataset, classes: Option<usize>) -> Result<Dataset, Error> {
    let Some(classes) = classes else {
        return Ok(data);
    };
    if data.task != Task::Classification {
        let task = data.task;
        return Err(Error::Options(format!(
            "--classes {classes} with the task {task}: it has no classes"
        )));
    }
    if classes < data.outputs {
        return Err(Error::Options(format!(
            "--classes {classes}: fewer than the {} that the labels in the data need",
            data.outputs
        )));
    }
    if classes > CLASSES_MAX {
        return Err(Error::Options(format!("--classes {classes}: the limit is {CLASSES_MAX}")));
    }
    data.outputs = classes;
    Ok(data)
}
