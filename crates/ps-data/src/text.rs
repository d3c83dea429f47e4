//! Text as bytes: a sample is some bytes in a row, its class the byte after them.
//!
//! Samples of a file begin every so many bytes, so that each byte is an input once; the label is the
//! first byte of the sample after. A rest that is no whole sample is dropped, and no sample goes
//! from one file to the next.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::byte_stream::{self, ByteStream};
use crate::error::check_limits;
use crate::limits::{FEATURE_BYTES_MAX, SAMPLES_MAX};
use crate::sample_reader::{Next, SampleReader};
use crate::{DataSource, Dataset, Error, Features, Inputs, Label, Samples};

/// Every byte can follow.
pub(crate) const CLASSES: usize = 256;

/// Of so many samples the last one is for testing, where no files are.
const TEST_SHARE: usize = 10;

/// Loads all sets; without test files, the last tenth of the training samples is the test set,
/// unless other workers have other samples.
pub(crate) fn load(
    train: &[PathBuf],
    test: &[PathBuf],
    validation: &[PathBuf],
    source: &DataSource,
) -> Result<Dataset, Error> {
    let is_whole = source.test.is_none() && test.is_empty() && !source.sharded;
    let mut train = read(train, source)?;
    let test = match is_whole {
        true => train.split_last(train.len() / TEST_SHARE),
        false => read(test, source)?,
    };
    let validation = read(validation, source)?;
    Ok(Dataset { validation, ..Dataset::new(train, test, CLASSES) })
}

/// Reads files as one set, which may be empty where there is no file.
pub(crate) fn read(files: &[PathBuf], source: &DataSource) -> Result<Samples, Error> {
    let context = source.context;
    let (mut bytes, mut labels) = (Vec::new(), Vec::<u32>::new());
    for path in files {
        let start = bytes.len();
        let room = FEATURE_BYTES_MAX.saturating_sub(start) as u64;
        let text = byte_stream::open_text(path, source.wrapper)?;
        let read = text.take(room + 1).read_to_end(&mut bytes);
        read.map_err(|source| Error::Read { path: path.clone(), source })?;
        let text = &bytes[start..];
        let samples = text.len().saturating_sub(1) / context;
        if samples == 0 {
            return Err(too_short(path, text.len(), context));
        }
        check_size(path, bytes.len(), labels.len() + samples)?;
        labels.extend((1..=samples).map(|sample| u32::from(text[sample * context])));
        bytes.truncate(start + samples * context);
    }
    bytes.shrink_to_fit();
    let unexpected = || Error::Options("--context: the text gave no whole samples".to_owned());
    Samples::new(Features::Text(bytes.into()), vec![context], labels).ok_or_else(unexpected)
}

fn too_short(path: &Path, bytes: usize, context: usize) -> Error {
    Error::Length {
        path: path.to_owned(),
        found: format!("a text of {bytes} bytes"),
        expected: format!("at least {} for --context {context} and a byte after", context + 1),
        hint: "give a smaller --context, or remove or join short files",
    }
}

fn check_size(path: &Path, bytes: usize, samples: usize) -> Result<(), Error> {
    let size = ("the size of all texts in memory, in bytes,", bytes as u128, FEATURE_BYTES_MAX);
    let samples = ("the number of samples", samples as u128, SAMPLES_MAX);
    let hint = "use fewer files, or a larger --context for fewer samples";
    check_limits(path, [size, samples], hint)
}

/// Reads the samples of one text, one after another.
pub(crate) struct TextReader {
    path: PathBuf,
    from: ByteStream,
    shape: [usize; 1],
    /// The first byte of the next sample, which was the label of the last one, then the sample.
    window: Vec<u8>,
    record: u64,
}

impl TextReader {
    /// Reads these bytes; errors name the path.
    pub(crate) fn new(path: &Path, from: ByteStream, context: usize) -> Self {
        let window = Vec::with_capacity(context + 1);
        Self { path: path.to_owned(), from, shape: [context], window, record: 0 }
    }
}

impl SampleReader for TextReader {
    fn next(&mut self, wanted: bool, inputs: &mut Inputs) -> Result<Next, Error> {
        let [context] = self.shape;
        let missing = (context + 1).saturating_sub(self.window.len()) as u64;
        let read = self.from.by_ref().take(missing).read_to_end(&mut self.window);
        read.map_err(|source| Error::Read { path: self.path.clone(), source })?;
        if self.window.len() <= context {
            let is_short = self.record == 0 && !self.window.is_empty();
            return match is_short {
                true => Err(too_short(&self.path, self.window.len(), context)),
                false => Ok(Next::End),
            };
        }
        self.record += 1;
        if wanted {
            inputs.features.extend(self.window[..context].iter().map(|&byte| f32::from(byte)));
        }
        let label = self.window[context];
        self.window.clear();
        self.window.push(label);
        Ok(if wanted { Next::Sample(Label::Class(u32::from(label))) } else { Next::Skipped })
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn position(&self) -> (&Path, u64) {
        (&self.path, self.record)
    }
}

#[cfg(test)]
mod tests;
