//! The batches of a lease or a pass, wherever their samples are.

use super::error::Error;
use super::prefetcher::Prefetcher;
use super::stream::BatchStream;
use crate::compute::SampleBatch;

/// The batches of one lease or pass, one after another.
pub(super) enum Batches {
    /// The model has the samples.
    Numbers(std::vec::IntoIter<SampleBatch>),
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

    /// The next one; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<SampleBatch>, Error> {
        match self {
            Self::Numbers(batches) => Ok(batches.next()),
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
