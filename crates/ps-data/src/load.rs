//! Reading both sets into memory.

use std::path::{Path, PathBuf};

use super::collect::Collected;
use super::idx::{self, Kind};
use super::idx_set::Pair;
use super::limits::CLASSES_MAX;
use super::reader::{Next, reader};
use super::sets::Sets;
use super::stream::{first_shape, stream_of};
use super::{
    DataSource, Dataset, Error, Format, Samples, StreamFrom, csv_file, idx_set, input, text,
};

/// Loads the training and test data that a source describes; without a folder, the bundled digits.
///
/// Without test files the test set is empty. A host whose share of a sharded set is empty has no
/// training samples, and no shape unless the test samples have one.
///
/// # Errors
/// No known set of files, or one that is damaged; the error names the file.
pub fn load(source: &DataSource) -> Result<Dataset, Error> {
    let data = match (&source.train, &source.test) {
        (None, None) if !source.sharded => bundled_digits()?,
        (None, Some(_)) if !source.sharded => {
            let problem =
                "--test without --data: there is nothing to train on; give --data DIR too";
            return Err(Error::Options(problem.to_owned()));
        }
        _ if source.streamed => beside_stream(&Sets::find(source)?, source)?,
        _ => whole(Sets::find(source)?, source)?,
    };
    with_classes(data, source.classes)
}

/// Both sets, read into memory.
fn whole(sets: Sets, source: &DataSource) -> Result<Dataset, Error> {
    match sets {
        Sets::Pairs(train, test) => joined(pair_set(train)?, pair_set(test)?),
        Sets::Files(Format::Csv, train, test) if !source.sharded => {
            csv_file::load(&train, &test, &source.label, source.wrapper)
        }
        Sets::Files(Format::Text, train, test) => text::load(&train, &test, source),
        Sets::Files(format, train, test) => {
            let train = plain_set(&train, format, source)?;
            joined(train, plain_set(&test, format, source)?)
        }
    }
}

/// The test set, and as a training set without samples what the first of the stream tells.
fn beside_stream(sets: &Sets, source: &DataSource) -> Result<Dataset, Error> {
    let stream = stream_of(sets, source);
    let first = first_shape(&stream)?;
    if let (None, StreamFrom::Files(files), false) = (&first, &stream.from, source.sharded) {
        return Err(Error::Options(format!(
            "--stream: no sample in {} training file(s), expected at least one; is --data right?",
            files.len()
        )));
    }
    let train = first.map(|(shape, path)| (Samples::none(shape), path));
    let test = match sets {
        Sets::Pairs(_, test) => pair_set(test.clone())?,
        Sets::Files(Format::Text, _, test) => {
            let samples = text::read(test, source)?;
            test.first().map(|path| (samples, path.clone()))
        }
        Sets::Files(format, _, test) => plain_set(test, *format, source)?,
    };
    let data = joined(train, test)?;
    match stream.format {
        Format::Text => Ok(Dataset { classes: text::CLASSES, ..data }),
        _ => Ok(data),
    }
}

/// The data set inside the program: 1,437 + 360 real handwritten digits of 8 x 8 pixels.
///
/// # Errors
/// None unless the files were damaged when the program was built.
pub fn bundled_digits() -> Result<Dataset, Error> {
    let part = |name: &str, kind, bytes: &[u8]| -> Result<_, Error> {
        let path = PathBuf::from(format!("(bundled digits) {name}"));
        let content = idx::read(&path, kind, bytes)?;
        Ok((path, content))
    };
    macro_rules! part {
        ($kind:expr, $name:literal) => {
            part($name, $kind, include_bytes!(concat!("../../../data/digits/", $name)))?
        };
    }
    let train = idx_set::join(
        part!(Kind::Images, "train-images-idx3-ubyte.gz"),
        part!(Kind::Labels, "train-labels-idx1-ubyte.gz"),
    )?;
    let test = idx_set::join(
        part!(Kind::Images, "t10k-images-idx3-ubyte.gz"),
        part!(Kind::Labels, "t10k-labels-idx1-ubyte.gz"),
    )?;
    joined(Some((train, PathBuf::new())), Some((test, PathBuf::new())))
}

/// A set with the path that errors name, if there is one.
type Found = Option<(Samples, PathBuf)>;

/// Reads a pair of IDX files, if there is one.
fn pair_set(pair: Option<Pair>) -> Result<Found, Error> {
    pair.map(|pair| Ok((idx_set::read(&pair)?, pair.0))).transpose()
}

/// Reads files in which every sample is understood by itself, as one set.
fn plain_set(files: &[PathBuf], format: Format, source: &DataSource) -> Result<Found, Error> {
    let mut collected = Collected::default();
    let mut first: Option<&Path> = None;
    for path in files {
        let mut samples = reader(path, input::open(path)?, format, source.writing())?;
        while let Next::Sample(label) = samples.next(true, &mut collected.inputs)? {
            let shape = samples.shape();
            if let (Some(expected), Some(first)) = (collected.shape(), first)
                && expected != shape
            {
                return Err(Error::Mismatch {
                    path: path.clone(),
                    found: format!("samples of the shape {shape:?}"),
                    other: first.to_owned(),
                    expected: format!("has samples of the shape {expected:?}"),
                    hint: "all files of a set must have samples of one shape",
                });
            }
            first = first.or(Some(path));
            collected.push(path, shape, label)?;
        }
    }
    match (first, files) {
        (Some(path), _) => Ok(Some((collected.samples(path)?, path.to_owned()))),
        (None, [path, ..]) if !source.sharded => Err(Error::Table {
            path: path.clone(),
            problem: format!("no sample in {} file(s), expected at least one", files.len()),
        }),
        (None, _) => Ok(None),
    }
}

/// Both sets, with one shape.
fn joined(train: Found, test: Found) -> Result<Dataset, Error> {
    if let (Some((train, train_path)), Some((test, test_path))) = (&train, &test)
        && train.shape() != test.shape()
    {
        return Err(Error::Mismatch {
            path: test_path.clone(),
            found: format!("samples of the shape {:?}", test.shape()),
            other: train_path.clone(),
            expected: format!("has samples of the shape {:?}", train.shape()),
            hint: "training and test data must come from one set",
        });
    }
    let found = train.as_ref().or(test.as_ref());
    let shape = found.map(|(samples, _)| samples.shape().to_vec()).unwrap_or_default();
    let set = |found: Found| found.map_or(Samples::none(shape.clone()), |(samples, _)| samples);
    let (train, test) = (set(train), set(test));
    let classes = train.labels().iter().chain(test.labels()).max().map_or(0, |&most| most + 1);
    Ok(Dataset { train, test, classes: classes as usize })
}

/// The data with the number of classes that was given, if it was.
pub fn with_classes(mut data: Dataset, classes: Option<usize>) -> Result<Dataset, Error> {
    let Some(classes) = classes else {
        return Ok(data);
    };
    if classes < data.classes || classes > CLASSES_MAX {
        return Err(Error::Options(format!(
            "--classes {classes}: the labels in the data need {} classes, and the limit is \
             {CLASSES_MAX}",
            data.classes
        )));
    }
    data.classes = classes;
    Ok(data)
}
