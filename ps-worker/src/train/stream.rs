//! Training samples that come in their own order, as the training loop takes them.

use crate::compute::{ComputeError, SampleBatch};
use futures_util::future::BoxFuture;
use ps_core::DataDescription;

/// Samples that come in their own order, pass by pass.
pub trait PassStreams: Send {
    /// Begins with a pass; whatever is left of an older one is given up.
    fn open<'a>(
        &'a mut self,
        pass: &'a StreamPass,
    ) -> BoxFuture<'a, Result<Box<dyn BatchStream>, ComputeError>>;
}

/// The batches of one pass.
pub trait BatchStream: Send {
    /// The next samples, `batch_size` of them but for the last; `None` at the end. Can be dropped
    /// before it is ready, and the stream with it.
    fn next_batch(&mut self) -> BoxFuture<'_, Result<Option<SampleBatch>, ComputeError>>;
}

/// What a stream must know of the pass.
#[derive(Clone, Debug)]
pub struct StreamPass {
    /// From 0.
    pub pass: u64,
    /// This worker's rank.
    pub rank: u32,
    /// Worker ranks of the job.
    pub workers: u32,
    /// Samples of one batch.
    pub batch_size: usize,
    /// The job's.
    pub seed: u64,
    /// Shape and classes of all the job's data.
    pub data: DataDescription,
}
