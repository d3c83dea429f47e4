//! The thread of a stream: from bytes to batches.

use std::io::{BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::sync::oneshot;

use super::batch::BatchSender;
use super::batcher::Batcher;
use super::beginning::Learning;
use super::fifo::{Fifo, Patience};
use super::file_sequence::FileSequence;
use super::plan::{StreamInput, StreamPlan, StreamSource};
use crate::byte_stream::{BUFFER_BYTES, ByteStream};
use crate::open_reader::open_reader;
use crate::recordio::MAGIC;
use crate::sample_reader::{Next, SampleReader};
use crate::{Error, Format, Inputs, Wrapper};

/// What the thread needs.
pub(super) struct Decoder {
    pub(super) path: PathBuf,
    pub(super) source: StreamSource,
    pub(super) shape: oneshot::Sender<Result<Option<Vec<usize>>, Error>>,
    pub(super) plan: Receiver<StreamPlan>,
    pub(super) batches: BatchSender,
    /// Of a table of which nothing is known.
    pub(super) learning: Option<Learning>,
}

impl Decoder {
    /// Reads to the end, to an error, or until nobody wants more.
    pub(super) fn run(self) {
        let Self { path, source, shape, plan, batches, learning } = self;
        let mut inputs = Inputs::default();
        let opened = match open(&path, &source, &batches, learning) {
            Ok(Some(samples)) => Ok(samples),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let first = opened.and_then(|mut samples| {
            let first = samples.next(true, &mut inputs)?;
            Ok((samples, first))
        });
        let (samples, label) = match first {
            Ok((samples, Next::Sample(label))) => (samples, label),
            Ok(_) => {
                let _ = shape.send(Ok(None));
                return;
            }
            Err(error) => {
                // To whoever asks for the shape; and to one who only asks for batches, in words.
                let problem = error.to_string();
                let _ = shape.send(Err(error));
                let _ = batches.blocking_send(Err(Error::Options(problem)));
                return;
            }
        };
        let _ = shape.send(Ok(Some(samples.shape().to_vec())));
        let Ok(plan) = plan.recv() else {
            return;
        };
        let result = Batcher::new(plan, batches.clone(), samples)
            .and_then(|mut batcher| batcher.run(inputs, label));
        if let Err(error) = result {
            let _ = batches.blocking_send(Err(error));
        }
    }
}

/// The samples of a stream, of which nothing but the beginning has been read; `None` where nobody wants them any more.
fn open(
    path: &Path,
    source: &StreamSource,
    batches: &BatchSender,
    learning: Option<Learning>,
) -> Result<Option<Box<dyn SampleReader>>, Error> {
    let patience = match &source.from {
        StreamInput::Fifos { patience, .. } => *patience,
        StreamInput::Files(_) => return Ok(Some(Box::new(FileSequence::new(source.clone())))),
    };
    let opened = open_fifo(path, source, patience, batches);
    let Some(learning) = learning else {
        let (bytes, format) = opened?;
        return open_reader(path, bytes, format, source).map(Some);
    };
    match opened {
        Ok((bytes, format)) => {
            let learnt = learning.learn(path, bytes, format == Format::Csv, source);
            learnt.map(|(bytes, source)| open_reader(path, bytes, format, &source)).transpose()
        }
        Err(error) => {
            learning.fail(error);
            Ok(None)
        }
    }
}

/// What is in a wrapped file cannot be told from its first bytes, which are those of the wrapper.
const UNKNOWN: (Format, Wrapper) = (Format::Auto, Wrapper::Recordio);

/// Waits for the FIFO and reads as much as tells its format.
fn open_fifo(
    path: &Path,
    source: &StreamSource,
    patience: Duration,
    batches: &BatchSender,
) -> Result<(ByteStream, Format), Error> {
    // Said before the FIFO is opened, which its writer would notice.
    if source.format == Format::Idx || (source.format, source.wrapper) == UNKNOWN {
        return Err(Error::Options(format!(
            "--pipe: a stream in the format `{}` with the wrapper `{}` cannot be read; name the \
             format with --format csv or --format recordio-protobuf",
            source.format.name(),
            source.wrapper.name()
        )));
    }
    let fifo = Fifo::open(path, Patience::new(patience), batches.clone())?;
    let mut fifo = BufReader::with_capacity(BUFFER_BYTES, fifo);
    let (mut format, mut beginning) = (source.format, Vec::new());
    if format == Format::Auto && source.wrapper == Wrapper::None {
        let read = fifo.by_ref().take(MAGIC.len() as u64).read_to_end(&mut beginning);
        read.map_err(|source| Error::Read { path: path.to_owned(), source })?;
        format = if beginning == MAGIC { Format::RecordioProtobuf } else { Format::Csv };
    }
    Ok((Box::new(Cursor::new(beginning).chain(fifo)), format))
}
