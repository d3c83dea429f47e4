//! Samples that are read while they are trained on: from FIFOs, which SageMaker's Pipe mode gives
//! instead of files, or from files that are not to be held in memory.
//!
//! The n-th stream that this process opens is `STEM_n`, counted from 0: a FIFO is written once, so a
//! pass that is read again (after a lease was given back, or when a job goes on) is the next one.
//! Files are the same in every pass. A thread of its own reads and decodes; a bounded channel hands
//! the batches over, and whoever drops the stream ends it. The records of FIFOs keep the order in
//! which they were written, those of files are shuffled as far as a bounded buffer allows.

mod batch;
mod batcher;
mod beginning;
mod decode;
mod fifo;
mod file_sequence;
mod plan;
mod shuffle_buffer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use ps_core::schema::Schema;
use tokio::sync::{mpsc, oneshot};

use crate::limits::BATCHES_AHEAD_MAX;
use crate::samples_builder::SamplesBuilder;
use crate::{Error, Samples};
pub use batch::StreamBatch;
pub use beginning::UnknownStream;
pub use file_sequence::stream_files;
pub(crate) use file_sequence::{FileSequence, first_shape, training_stream};
pub use plan::{StreamInput, StreamPlan, StreamSource};
pub use shuffle_buffer::Shuffle;

/// Samples that are handed over at once when a stream is read whole.
const SAMPLES_AT_ONCE: usize = 256;

/// Opens one stream after the other.
#[derive(Clone, Debug)]
pub struct StreamOpener {
    source: StreamSource,
    opened: u64,
}

impl StreamOpener {
    /// The streams of this source, from the first.
    pub fn new(source: StreamSource) -> Self {
        Self { source, opened: 0 }
    }

    /// Begins to open the next stream and to read its first record; returns at once.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn open(&mut self) -> Result<OpenStream, Error> {
        self.begin(None)
    }

    /// The same of a table of which nothing is known yet: at most so many samples of its beginning are counted, by `who`.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn open_unknown(&mut self, samples_max: u64, who: &str) -> Result<UnknownStream, Error> {
        let (sums_to, sums) = oneshot::channel();
        let (schema_to, schema) = channel();
        let who = who.to_owned();
        let learning = beginning::Learning { samples_max, who, sums: sums_to, schema };
        let path = self.source.from.path(self.opened);
        let stream = self.begin(Some(learning))?;
        Ok(UnknownStream { path, sums, schema_to, stream })
    }

    /// Reads the streams from now on as a table that is known, or as no table.
    pub fn set_schema(&mut self, schema: Option<Arc<Schema>>) {
        self.source.schema = schema;
    }

    fn begin(&mut self, learning: Option<beginning::Learning>) -> Result<OpenStream, Error> {
        let path = self.source.from.path(self.opened);
        let (shape_to, shape) = oneshot::channel();
        let (plan_to, plan) = channel();
        let (batches_to, batches) = mpsc::channel(BATCHES_AHEAD_MAX);
        let decoder = decode::Decoder {
            path: path.clone(),
            source: self.source.clone(),
            shape: shape_to,
            plan,
            batches: batches_to,
            learning,
        };
        let thread = std::thread::Builder::new().name("stream".to_owned());
        let started = thread.spawn(move || decoder.run());
        started.map_err(|source| Error::Read { path: path.clone(), source })?;
        self.opened += 1;
        Ok(OpenStream { path, shape, plan_to, batches: StreamBatches(batches) })
    }
}

/// A stream of which at most the first record has been read.
#[derive(Debug)]
pub struct OpenStream {
    path: PathBuf,
    shape: oneshot::Receiver<Result<Option<Vec<usize>>, Error>>,
    plan_to: Sender<StreamPlan>,
    batches: StreamBatches,
}

impl OpenStream {
    /// The shape of the first sample, `None` when there is no sample; to be asked once.
    ///
    /// # Errors
    /// The FIFO or its writer did not come, or the first record is damaged.
    pub async fn shape(&mut self) -> Result<Option<Vec<usize>>, Error> {
        match (&mut self.shape).await {
            Ok(shape) => shape,
            Err(_) => Err(ended(&self.path)),
        }
    }

    /// Begins to make batches.
    pub fn start(self, plan: StreamPlan) -> StreamBatches {
        // Where the thread has gone, the batches end with what it said.
        let _ = self.plan_to.send(plan);
        self.batches
    }
}

/// The batches of one stream; dropping them closes it.
#[derive(Debug)]
pub struct StreamBatches(mpsc::Receiver<Result<StreamBatch, Error>>);

impl StreamBatches {
    /// The next batch, `None` at the end of the stream.
    ///
    /// # Errors
    /// Records that are damaged, or do not fit the plan.
    pub async fn next_batch(&mut self) -> Result<Option<StreamBatch>, Error> {
        self.0.recv().await.transpose()
    }
}

/// Reads the first stream of a source whole, as test data are needed.
///
/// # Errors
/// As [`load`](super::load), and a FIFO or writer that did not come.
pub async fn load_stream(source: StreamSource) -> Result<Samples, Error> {
    let id_columns = source.schema.as_ref().map_or(0, |schema| schema.id_columns().len());
    let mut stream = StreamOpener::new(source).open()?;
    let path = stream.path.clone();
    let shape = stream.shape().await?.unwrap_or_default();
    let mut batches = stream.start(StreamPlan {
        workers: 1,
        rank: 0,
        batch_samples: SAMPLES_AT_ONCE,
        shape: shape.clone(),
        id_columns,
        outputs: None,
        shift: None,
        shuffle: None,
    });
    let mut builder = SamplesBuilder::default();
    while let Some(batch) = batches.next_batch().await? {
        builder.inputs.extend(&batch.inputs);
        builder.extend(&path, &shape, batch.labels)?;
    }
    builder.build(&path)
}

fn ended(path: &Path) -> Error {
    let problem = "its reader ended without a word".to_owned();
    Error::Stream { path: path.to_owned(), problem }
}
