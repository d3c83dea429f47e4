//! Training samples from FIFOs or files that are not loaded, as the training loop takes them: where
//! streams and leases meet.

use crate::compute::{ComputeError, SampleBatch};
use crate::place::Place;
use crate::train::{BatchStream, PassStreams, StreamPass};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ps_core::schema::IdColumn;
use ps_core::{DataDescription, DataKind, Task};
use ps_data::{Draw, OpenStream, Shift, Shuffle, StreamBatch, StreamBatches, StreamPlan};
use std::time::Duration;

/// Who takes which records of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// Every host's stream has the same records: a worker takes those of its rank.
    Shared,
    /// Every host's stream has records of its own: its workers take all of them, each its part.
    OfMachine(Place),
}

/// What a worker makes of its streams.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    /// Which records it takes.
    pub records: Records,
    /// The columns that a model looks up.
    pub ids: Vec<IdColumn>,
    /// What a model is to tell.
    pub task: Task,
    /// How many outputs that takes, which is not to be seen from a stream; 0 where nobody knows.
    pub outputs: u32,
    /// Pixels by which images are moved at the most.
    pub shift: usize,
    /// Samples that wait for their turn, so that their order changes; `None` where it is kept.
    pub shuffle: Option<usize>,
    /// How long the next samples may take to come.
    pub patience: Duration,
}

/// The streams of one worker.
#[derive(Debug)]
pub struct DataStreams {
    streams: ps_data::StreamOpener,
    options: StreamOptions,
    /// The stream whose first record was read to describe the data; the first pass is made of it.
    begun: Option<OpenStream>,
}

impl DataStreams {
    /// Reads as much of the first stream, which was opened, as tells what the model must know.
    ///
    /// # Errors
    /// The FIFO or its writer did not come, or the first record is damaged.
    pub async fn new(
        (streams, mut begun): (ps_data::StreamOpener, OpenStream),
        options: StreamOptions,
    ) -> Result<(Self, DataDescription), ps_data::Error> {
        let shape = begun.shape().await?.unwrap_or_default();
        let description = DataDescription {
            kind: DataKind::Streamed,
            shape: shape.into_iter().map(|size| size as u64).collect(),
            ids: options.ids.clone(),
            task: options.task,
            outputs: options.outputs,
            ..DataDescription::default()
        };
        Ok((Self { streams, options, begun: Some(begun) }, description))
    }
}

impl PassStreams for DataStreams {
    fn open<'a>(
        &'a mut self,
        pass: &'a StreamPass,
    ) -> BoxFuture<'a, Result<Box<dyn BatchStream>, ComputeError>> {
        async move {
            let plan = plan(&self.options, pass)?;
            let stream = match self.begun.take() {
                Some(begun) => begun,
                None => self.streams.open()?,
            };
            let (batches, patience) = (stream.start(plan), self.options.patience);
            Ok(Box::new(PassBatches { batches, patience }) as Box<dyn BatchStream>)
        }
        .boxed()
    }
}

/// What this worker makes of the stream of a pass.
fn plan(options: &StreamOptions, pass: &StreamPass) -> Result<StreamPlan, ComputeError> {
    if pass.data.outputs == 0 {
        let problem = "the number of classes cannot be seen from a stream before it has been read: \
                       give --classes N, or test data with --test";
        return Err(ComputeError(problem.to_owned()));
    }
    let (workers, rank, source) = match options.records {
        Records::Shared => (u64::from(pass.workers), u64::from(pass.rank), 0),
        Records::OfMachine(place) => {
            (u64::from(place.workers), u64::from(place.index), 1 + pass.rank)
        }
    };
    let draw = Draw { seed: pass.seed, pass: pass.pass, source };
    let shape: Vec<usize> = pass.data.shape.iter().map(|&size| size as usize).collect();
    let shift = (options.shift > 0).then(|| Shift::new(options.shift, &shape, draw));
    Ok(StreamPlan {
        workers,
        rank,
        batch_samples: pass.batch_size,
        id_columns: pass.data.ids.len(),
        outputs: Some(pass.data.outputs as usize),
        shift: shift.transpose()?,
        shuffle: options.shuffle.map(|samples| Shuffle { samples, draw }),
        shape,
    })
}

/// One pass.
struct PassBatches {
    batches: StreamBatches,
    patience: Duration,
}

/// Who reads a FIFO has the same time, and knows better what is missing: it speaks first.
const LAST_WORD: Duration = Duration::from_secs(1);

fn late(patience: Duration) -> ComputeError {
    ComputeError(format!(
        "the next samples of the stream did not come within {} s; look whether it is still written, \
         and give it more time with --load-timeout-s",
        patience.as_secs()
    ))
}

impl BatchStream for PassBatches {
    fn next_batch(&mut self) -> BoxFuture<'_, Result<Option<SampleBatch>, ComputeError>> {
        async {
            let next =
                tokio::time::timeout(self.patience + LAST_WORD, self.batches.next_batch()).await;
            let batch = next.map_err(|_| late(self.patience))??;
            let values = |StreamBatch { inputs, labels }| SampleBatch::Values { inputs, labels };
            Ok(batch.map(values))
        }
        .boxed()
    }
}
