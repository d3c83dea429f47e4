//! The batches of a lease, wherever their samples are.

use super::Error;
use super::ahead::Ahead;
use super::served::Served;
use super::workload::{Preparing, Stream};
use crate::compute::Batch;
use ps_data::Draw;

/// The batches of one lease, one after another.
pub(super) enum Batches {
    /// The model has the samples.
    Own(std::vec::IntoIter<Batch>),
    /// The samples are here, and are gathered before the model needs them.
    Ahead(Ahead),
    /// The evaluator sends them.
    Served(Served),
    /// They come as they come.
    Stream(Box<dyn Stream>),
}

impl Batches {
    /// Batches of these samples of this process.
    pub(super) fn own(
        preparing: &Preparing,
        draw: Draw,
        samples: &[u32],
        batch_size: usize,
    ) -> Result<Self, Error> {
        let batches = samples.chunks(batch_size.max(1));
        let batches = batches.map(|batch| batch.iter().map(|&number| u64::from(number)).collect());
        let Some(samples) = &preparing.samples else {
            return Ok(Self::Own(batches.map(Batch::Numbers).collect::<Vec<_>>().into_iter()));
        };
        let shift = preparing.shift(samples.shape(), draw)?;
        Ok(Self::Ahead(Ahead::start(samples.clone(), shift, batches.collect())))
    }

    /// How many are left, as far as is known: a stream tells only that it has ended.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Own(batches) => Some(batches.len() as u64),
            Self::Ahead(ahead) => Some(ahead.left()),
            Self::Served(served) => Some(served.left()),
            Self::Stream(_) => None,
        }
    }

    /// The next one; `None` at the lease's end.
    pub(super) async fn next(&mut self) -> Result<Option<Batch>, Error> {
        match self {
            Self::Own(batches) => Ok(batches.next()),
            Self::Ahead(ahead) => ahead.next().await,
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
