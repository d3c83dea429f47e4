//! The thread of a stream: from bytes to batches.

use std::io::{BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::fifo::{Fifo, GivenUp, Patience};
use super::files::Files;
use super::making::Making;
use super::{StreamBatch, StreamFrom, StreamPlan, StreamSource};
use crate::input::{BUFFER_BYTES, Input};
use crate::reader::{Next, SampleReader, reader};
use crate::recordio::MAGIC;
use crate::{Error, Format, Wrapper};

/// What the thread needs.
pub(super) struct Decoder {
    pub(super) path: PathBuf,
    pub(super) source: StreamSource,
    pub(super) given_up: GivenUp,
    pub(super) shape: oneshot::Sender<Result<Option<Vec<usize>>, Error>>,
    pub(super) plan: Receiver<StreamPlan>,
    pub(super) batches: mpsc::Sender<Result<StreamBatch, Error>>,
}

impl Decoder {
    /// Reads to the end, to an error, or until nobody wants more.
    pub(super) fn run(self) {
        let Self { path, source, given_up, shape, plan, batches } = self;
        let mut inputs = Vec::new();
        let first = open(&path, &source, given_up).and_then(|mut samples| {
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
        let made = Making::new(plan, batches.clone(), samples)
            .and_then(|mut making| making.all(inputs, label));
        if let Err(error) = made {
            let _ = batches.blocking_send(Err(error));
        }
    }
}

/// The samples of a stream, of which nothing but the beginning has been read.
fn open(
    path: &Path,
    source: &StreamSource,
    given_up: GivenUp,
) -> Result<Box<dyn SampleReader>, Error> {
    match &source.from {
        StreamFrom::Fifos { patience, .. } => open_fifo(path, source, *patience, given_up),
        StreamFrom::Files(files) => Ok(Box::new(Files::new(files.clone(), source))),
    }
}

/// What is in a wrapped file cannot be told from its first bytes, which are those of the wrapper.
const UNKNOWN: (Format, Wrapper) = (Format::Auto, Wrapper::Recordio);

/// Waits for the FIFO and reads as much as tells its format.
fn open_fifo(
    path: &Path,
    source: &StreamSource,
    patience: Duration,
    given_up: GivenUp,
) -> Result<Box<dyn SampleReader>, Error> {
    // Said before the FIFO is opened, which its writer would notice.
    if source.format == Format::Idx || (source.format, source.wrapper) == UNKNOWN {
        return Err(Error::Options(format!(
            "--pipe: a stream in the format `{}` with the wrapper `{}` cannot be read; name the \
             format with --format csv or --format recordio-protobuf",
            source.format.name(),
            source.wrapper.name()
        )));
    }
    let fifo = Fifo::open(path, Patience::new(patience), given_up)?;
    let mut fifo = BufReader::with_capacity(BUFFER_BYTES, fifo);
    let (mut format, mut beginning) = (source.format, Vec::new());
    if format == Format::Auto && source.wrapper == Wrapper::None {
        let read = fifo.by_ref().take(MAGIC.len() as u64).read_to_end(&mut beginning);
        read.map_err(|source| Error::Read { path: path.to_owned(), source })?;
        format = if beginning == MAGIC { Format::RecordioProtobuf } else { Format::Csv };
    }
    let input: Input = Box::new(Cursor::new(beginning).chain(fifo));
    reader(path, input, format, source.writing())
}
