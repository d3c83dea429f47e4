//! The batches of a lease or a pass, wherever their samples are.

use super::error::Error;
use super::prefetcher::Prefetcher;
use super::sample_numbers::SampleNumbers;
use crate::compute::{ComputeError, SampleBatch};
use futures_util::future::BoxFuture;
use ps_core::DataDescription;

/// The batches of one lease or pass, one after another.
pub(super) enum Batches {
    /// The model has the samples.
    Numbers(SampleNumbers),
    /// The samples are gathered or fetched before the model needs them.
    Prefetched(Prefetcher),
    /// They come as they come.
    Stream(Box<dyn BatchStream>),
}

impl Batches {
    /// How many are left, as far as is known: a stream tells only that it has ended.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Numbers(batches) => Some(batches.len() as u64),
            Self::Prefetched(batches) => Some(batches.left()),
            Self::Stream(_) => None,
        }
    }

    /// Whether others decide when they come.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    /// The next one; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<SampleBatch>, Error> {
        match self {
            Self::Numbers(batches) => Ok(batches.next().map(SampleBatch::Numbers)),
            Self::Prefetched(batches) => batches.next().await,
            Self::Stream(stream) => loop {
                match stream.next_batch().await? {
                    Some(batch) if batch.samples() == 0 => (),
                    batch => return Ok(batch),
                }
            },
        }
    }
}

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
