//! Training samples from FIFOs or files that are not loaded, as the training loop takes them: where streams and leases meet.

use crate::compute::{Batch, ComputeError};
use crate::train::{Stream, StreamPass, Streams};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ps_core::{DataDescription, DataKind};
use ps_data::{Draw, OpenStream, Shift, Shuffle, StreamBatches, StreamPlan, StreamSource};

/// Who takes which records of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// Every host's stream has the same records: a worker takes those of its rank.
    Shared,
    /// Every host's stream has records of its own: a worker takes all.
    Own,
}

/// What a worker makes of its streams.
#[derive(Clone, Copy, Debug)]
pub struct Taking {
    /// Which records it takes.
    pub records: Records,
    /// How many classes there are, which is not to be seen from a stream; 0 where nobody knows.
    pub classes: u32,
    /// Pixels by which images are moved at the most.
    pub shift: usize,
    /// Samples that wait for their turn, so that their order changes; `None` where it is kept.
    pub shuffle: Option<usize>,
}

/// The streams of one worker.
#[derive(Debug)]
pub struct Pipe {
    streams: ps_data::StreamOpener,
    taking: Taking,
    /// The stream whose first record was read to describe the data; the first pass is made of it.
    begun: Option<OpenStream>,
}

impl Pipe {
    /// Opens the first stream and reads as much of it as tells what the model must know.
    ///
    /// # Errors
    /// The FIFO or its writer did not come, or the first record is damaged.
    pub async fn open(
        source: StreamSource,
        taking: Taking,
    ) -> Result<(Self, DataDescription), ps_data::Error> {
        let mut streams = ps_data::StreamOpener::new(source);
        let mut begun = streams.open()?;
        let shape = begun.shape().await?.unwrap_or_default();
        let description = DataDescription {
            kind: DataKind::Streamed,
            shape: shape.into_iter().map(|size| size as u64).collect(),
            classes: taking.classes,
            ..DataDescription::default()
        };
        Ok((Self { streams, taking, begun: Some(begun) }, description))
    }
}

impl Streams for Pipe {
    fn open<'a>(
        &'a mut self,
        pass: &'a StreamPass,
    ) -> BoxFuture<'a, Result<Box<dyn Stream>, ComputeError>> {
        async move {
            let plan = plan(&self.taking, pass)?;
            let stream = match self.begun.take() {
                Some(begun) => begun,
                None => self.streams.open().map_err(said)?,
            };
            Ok(Box::new(PipePass(stream.start(plan))) as Box<dyn Stream>)
        }
        .boxed()
    }
}

/// What this worker makes of the stream of a pass.
fn plan(taking: &Taking, pass: &StreamPass) -> Result<StreamPlan, ComputeError> {
    if pass.data.classes == 0 {
        let problem = "the number of classes cannot be seen from a stream before it has been read: \
                       give --classes N, or test data with --test";
        return Err(ComputeError(problem.to_owned()));
    }
    let (workers, rank, source) = match taking.records {
        Records::Shared => (u64::from(pass.workers), u64::from(pass.rank), 0),
        Records::Own => (1, 0, 1 + pass.rank),
    };
    let draw = Draw { seed: pass.seed, pass: pass.pass, source };
    let shape: Vec<usize> = pass.data.shape.iter().map(|&size| size as usize).collect();
    let shift = (taking.shift > 0).then(|| Shift::new(taking.shift, &shape, draw));
    Ok(StreamPlan {
        workers,
        rank,
        batch_samples: pass.batch_size,
        classes: pass.data.classes as usize,
        shift: shift.transpose().map_err(said)?,
        shuffle: taking.shuffle.map(|samples| Shuffle { samples, draw }),
        shape,
    })
}

/// One pass.
struct PipePass(StreamBatches);

impl Stream for PipePass {
    fn next_batch(&mut self) -> BoxFuture<'_, Result<Option<Batch>, ComputeError>> {
        async {
            let batch = self.0.next_batch().await.map_err(said)?;
            Ok(batch.map(|batch| Batch::Values { features: batch.features, labels: batch.labels }))
        }
        .boxed()
    }
}

fn said(error: ps_data::Error) -> ComputeError {
    ComputeError(error.to_string())
}
