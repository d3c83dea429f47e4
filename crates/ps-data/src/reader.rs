//! Samples one after another, in formats where each can be understood without having seen the others.

use std::path::Path;

use super::csv_file::PlainReader;
use super::input::{self, Input};
use super::record_reader::RecordReader;
use super::source::Writing;
use super::text::TextReader;
use super::{Error, Format};

/// What a reader came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A sample of this class, whose inputs were appended.
    Sample(u32),
    /// A sample that was not wanted; nothing was appended.
    Skipped,
    /// There are no more.
    End,
}

/// Reads one file or stream.
pub(super) trait SampleReader: Send {
    /// The next sample; one that is not wanted is passed over with as little work as possible.
    fn next(&mut self, wanted: bool, inputs: &mut Vec<f32>) -> Result<Next, Error>;

    /// Shape of the last sample.
    fn shape(&self) -> &[usize];

    /// The file or stream of the last sample, and its number there, from 1.
    fn place(&self) -> (&Path, u64);
}

/// A reader of these bytes, which are not gzip any more.
pub(super) fn reader(
    path: &Path,
    input: Input,
    format: Format,
    writing: Writing<'_>,
) -> Result<Box<dyn SampleReader>, Error> {
    let Writing { wrapper, label, context } = writing;
    match format {
        Format::Csv => {
            let text = input::text(input, wrapper);
            Ok(Box::new(PlainReader::new(path, text, label.clone())))
        }
        Format::RecordioProtobuf => Ok(Box::new(RecordReader::new(path, input, wrapper))),
        Format::Text => {
            let text = input::text(input, wrapper);
            Ok(Box::new(TextReader::new(path, text, context)))
        }
        Format::Auto | Format::Idx => Err(Error::Options(format!(
            "{}: the format `{}` cannot be read sample by sample; name it with --format csv, \
             --format recordio-protobuf or --format text",
            path.display(),
            format.name()
        ))),
    }
}
