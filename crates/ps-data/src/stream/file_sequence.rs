//! Files read from the beginning, one after the other.

use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use super::plan::{StreamInput, StreamSource};
use crate::dataset_files::DatasetFiles;
use crate::idx::{IdxPair, IdxReader};
use crate::open_reader::open_reader;
use crate::sample_reader::{Next, SampleReader};
use crate::{DataSource, Error, Format, Inputs, byte_stream};

/// The samples of these files, of which one at a time is open.
pub(crate) struct FileSequence {
    left: IntoIter<PathBuf>,
    source: StreamSource,
    /// The present one; the last one stays, for what is asked of it.
    open: Option<Box<dyn SampleReader>>,
}

impl FileSequence {
    /// The files of a source, none if it is of FIFOs; nothing is opened before the first sample is asked for.
    pub(crate) fn new(source: StreamSource) -> Self {
        let files = match &source.from {
            StreamInput::Files(files) => files.clone(),
            StreamInput::Fifos { .. } => Vec::new(),
        };
        Self { left: files.into_iter(), source, open: None }
    }

    /// Opens the next file, or pair of files; `None` after the last.
    fn open_next(&mut self) -> Result<Option<Box<dyn SampleReader>>, Error> {
        let Some(path) = self.left.next() else {
            return Ok(None);
        };
        if self.source.format == Format::Idx {
            let pair = IdxPair { images: path, labels: self.left.next().unwrap_or_default() };
            return Ok(Some(Box::new(IdxReader::open(&pair)?.sample_by_sample()?)));
        }
        let bytes = byte_stream::open(&path)?;
        open_reader(&path, bytes, self.source.format, &self.source).map(Some)
    }
}

impl SampleReader for FileSequence {
    fn next(&mut self, wanted: bool, inputs: &mut Inputs) -> Result<Next, Error> {
        loop {
            if let Some(samples) = &mut self.open {
                let next = samples.next(wanted, inputs)?;
                if next != Next::End {
                    return Ok(next);
                }
            }
            match self.open_next()? {
                Some(samples) => self.open = Some(samples),
                None => return Ok(Next::End),
            }
        }
    }

    fn shape(&self) -> &[usize] {
        self.open.as_ref().map_or(&[], |samples| samples.shape())
    }

    fn position(&self) -> (&Path, u64) {
        self.open.as_ref().map_or((Path::new(""), 0), |samples| samples.position())
    }
}

/// The training files that a source names, as a stream.
///
/// # Errors
/// There are none, unless they are a host's own share.
pub fn stream_files(source: &DataSource) -> Result<StreamSource, Error> {
    Ok(training_stream(&DatasetFiles::find(source)?, source))
}

/// The training files among these, as a stream.
pub(crate) fn training_stream(files: &DatasetFiles, source: &DataSource) -> StreamSource {
    match files {
        DatasetFiles::Idx(train, ..) => {
            let pairs = train.iter().cloned();
            let files = pairs.flat_map(|pair| [pair.images, pair.labels]).collect();
            StreamSource::of_files(files, Format::Idx, source)
        }
        DatasetFiles::Files(format, train, ..) => {
            StreamSource::of_files(train.clone(), *format, source)
        }
    }
}

/// The shape of the first sample in these files and the file that it is in, if there is one.
pub(crate) fn first_shape(source: &StreamSource) -> Result<Option<(Vec<usize>, PathBuf)>, Error> {
    let mut samples = FileSequence::new(source.clone());
    Ok(match samples.next(true, &mut Inputs::default())? {
        Next::End | Next::Skipped => None,
        Next::Sample(_) => Some((samples.shape().to_vec(), samples.position().0.to_owned())),
    })
}
