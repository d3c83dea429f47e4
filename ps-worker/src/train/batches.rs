//! The batches of a lease, wherever their samples are.

use super::Error;
use super::served::Served;
use super::workload::Stream;
use crate::compute::Batch;

/// The batches of one lease, one after another.
pub(super) enum Batches {
    /// The model has the samples.
    Own(std::vec::IntoIter<Batch>),
    /// The evaluator sends them.
    Served(Served),
    /// They come as they come.
    Stream(Box<dyn Stream>),
}

impl Batches {
    /// How many are left, as far as is known: a stream tells only that it has ended.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Own(batches) => Some(batches.len() as u64),
            Self::Served(served) => Some(served.left()),
            Self::Stream(_) => None,
        }
    }

    /// The next one; `None` at the lease's end.
    pub(super) async fn next(&mut self) -> Result<Option<Batch>, Error> {
        match self {
            Self::Own(batches) => Ok(batches.next()),
            Self::Served(served) => served.next().await,
            Self::Stream(stream) => loop {
                match stream.next_batch().await? {
                    Some(batch) if batch.samples() == 0 => (),
                    batch => return Ok(batch),
                }
            },
        }
    }
}
