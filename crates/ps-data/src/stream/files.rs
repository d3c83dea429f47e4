//! Files as one stream: read from the beginning in every pass, one after the other.

use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use super::{StreamFrom, StreamSource};
use crate::idx_reader::IdxReader;
use crate::reader::{Next, SampleReader, reader};
use crate::sets::Sets;
use crate::{DataSource, Error, Format, input};

/// The samples of these files, of which one at a time is open.
pub(super) struct Files {
    left: IntoIter<PathBuf>,
    source: StreamSource,
    /// The present one; the last one stays, for what is asked of it.
    open: Option<Box<dyn SampleReader>>,
}

impl Files {
    /// Nothing is opened before the first sample is asked for.
    pub(super) fn new(files: Vec<PathBuf>, source: &StreamSource) -> Self {
        Self { left: files.into_iter(), source: source.clone(), open: None }
    }

    /// Opens the next file, or pair of files; `None` after the last.
    fn open_next(&mut self) -> Result<Option<Box<dyn SampleReader>>, Error> {
        let Some(path) = self.left.next() else {
            return Ok(None);
        };
        if self.source.format == Format::Idx {
            let labels = self.left.next().unwrap_or_default();
            return Ok(Some(Box::new(IdxReader::open(&path, &labels)?)));
        }
        let samples =
            reader(&path, input::open(&path)?, self.source.format, self.source.writing())?;
        Ok(Some(samples))
    }
}

impl SampleReader for Files {
    fn next(&mut self, wanted: bool, inputs: &mut Vec<f32>) -> Result<Next, Error> {
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

    fn place(&self) -> (&Path, u64) {
        self.open.as_ref().map_or((Path::new(""), 0), |samples| samples.place())
    }
}

/// The training files that a source names, as a stream.
///
/// # Errors
/// There are none, unless they are a host's own share.
pub fn stream_files(source: &DataSource) -> Result<StreamSource, Error> {
    Ok(stream_of(&Sets::find(source)?, source))
}

/// The training files among these, as a stream.
pub(crate) fn stream_of(sets: &Sets, source: &DataSource) -> StreamSource {
    let (format, files) = match sets {
        Sets::Pairs(train, _) => {
            let files = train.iter().flat_map(|(images, labels)| [images.clone(), labels.clone()]);
            (Format::Idx, files.collect())
        }
        Sets::Files(format, train, _) => (*format, train.clone()),
    };
    StreamSource {
        from: StreamFrom::Files(files),
        format,
        wrapper: source.wrapper,
        label: source.label.clone(),
        context: source.context,
    }
}

/// The shape of the first sample in these files and the file that it is in, if there is one.
pub(crate) fn first_shape(source: &StreamSource) -> Result<Option<(Vec<usize>, PathBuf)>, Error> {
    let StreamFrom::Files(files) = &source.from else {
        return Ok(None);
    };
    let mut samples = Files::new(files.clone(), source);
    Ok(match samples.next(true, &mut Vec::new())? {
        Next::End | Next::Skipped => None,
        Next::Sample(_) => Some((samples.shape().to_vec(), samples.place().0.to_owned())),
    })
}
