//! The thread of a stream: from bytes to batches.

use std::io::{BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use tokio::sync::{mpsc, oneshot};

use super::fifo::{Fifo, GivenUp, Patience};
use super::{StreamBatch, StreamPlan, StreamSource};
use crate::data::input::{BUFFER_BYTES, Input};
use crate::data::reader::{Next, SampleReader, reader};
use crate::data::recordio::MAGIC;
use crate::data::{Error, Format, Wrapper};

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
        let mut making = Making { path, plan, batches, samples, record: 0 };
        if let Err(error) = making.all(inputs, label) {
            let _ = making.batches.blocking_send(Err(error));
        }
    }
}

/// A stream that is being made into batches.
struct Making {
    path: PathBuf,
    plan: StreamPlan,
    batches: mpsc::Sender<Result<StreamBatch, Error>>,
    samples: Box<dyn SampleReader>,
    /// Number of the next record, from 0.
    record: u64,
}

impl Making {
    /// The first sample has been read already.
    fn all(&mut self, mut first: Vec<f32>, label: u32) -> Result<(), Error> {
        if !self.is_ours() {
            first.clear();
        }
        let mut batch = StreamBatch { features: first, labels: Vec::new() };
        let mut next = Next::Sample(label);
        loop {
            match next {
                Next::End => break,
                Next::Sample(label) if self.is_ours() => {
                    self.check(label)?;
                    batch.labels.push(label);
                }
                Next::Sample(_) | Next::Skipped => {}
            }
            self.record += 1;
            if batch.labels.len() >= self.plan.batch_samples.max(1) {
                let room = batch.features.len();
                let full = std::mem::replace(
                    &mut batch,
                    StreamBatch { features: Vec::with_capacity(room), labels: Vec::new() },
                );
                if self.batches.blocking_send(Ok(full)).is_err() {
                    return Ok(());
                }
            }
            let wanted = self.is_ours();
            next = self.samples.next(wanted, &mut batch.features)?;
        }
        if !batch.labels.is_empty() {
            let _ = self.batches.blocking_send(Ok(batch));
        }
        Ok(())
    }

    fn is_ours(&self) -> bool {
        self.record % self.plan.workers.max(1) == self.plan.rank
    }

    /// Whether the last sample is what the model was built for.
    fn check(&self, label: u32) -> Result<(), Error> {
        let (shape, plan) = (self.samples.shape(), &self.plan);
        let problem = if shape != plan.shape {
            format!("a sample of the shape {shape:?}, expected {:?} as agreed", plan.shape)
        } else if label as usize >= plan.classes {
            format!(
                "label {label}, expected one below {}, the number of classes; is --classes right?",
                plan.classes
            )
        } else {
            return Ok(());
        };
        Err(Error::Record { path: self.path.clone(), record: self.record + 1, problem })
    }
}

/// What is in a wrapped file cannot be told from its first bytes, which are those of the wrapper.
const UNKNOWN: (Format, Wrapper) = (Format::Auto, Wrapper::Recordio);

/// Waits for the FIFO and reads as much as tells its format.
fn open(
    path: &Path,
    source: &StreamSource,
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
    let fifo = Fifo::open(path, Patience::new(source.patience), given_up)?;
    let mut fifo = BufReader::with_capacity(BUFFER_BYTES, fifo);
    let (mut format, mut beginning) = (source.format, Vec::new());
    if format == Format::Auto && source.wrapper == Wrapper::None {
        let read = fifo.by_ref().take(MAGIC.len() as u64).read_to_end(&mut beginning);
        read.map_err(|source| Error::Read { path: path.to_owned(), source })?;
        format = if beginning == MAGIC { Format::RecordioProtobuf } else { Format::Csv };
    }
    let input: Input = Box::new(Cursor::new(beginning).chain(fifo));
    reader(path, input, format, source.wrapper, &source.label)
}
