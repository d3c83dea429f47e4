//! From numbers of samples to batches.

use super::batches::Batches;
use super::error::Error;
use super::prefetcher::Prefetcher;
use super::sample_numbers::SampleNumbers;
use crate::compute::ComputeError;
use ps_data::{Draw, SampleSet, Shift};
use std::sync::Arc;

/// Makes batches of samples by their numbers.
#[derive(Clone, Default)]
pub struct DataLoader {
    /// The training samples of this process, to be gathered while the model computes; `None` where
    /// the numbers are all that the model wants, as in a simulation.
    pub samples: Option<Arc<dyn SampleSet>>,
    /// Pixels by which images are moved at the most, own ones as well as those that others serve;
    /// samples by their numbers alone are left to the model.
    pub shift: usize,
}

impl DataLoader {
    /// Batches of these samples of this process.
    pub(super) fn batches(&self, draw: Draw, numbers: SampleNumbers) -> Result<Batches, Error> {
        let Some(samples) = &self.samples else {
            return Ok(Batches::Numbers(numbers));
        };
        let shift = self.shift(samples.shape(), draw)?;
        Ok(Batches::Prefetched(Prefetcher::gather(samples.clone(), shift, numbers)))
    }

    /// How samples of this shape are moved, if they are.
    ///
    /// # Errors
    /// They are no images, or too small.
    pub(super) fn shift(&self, shape: &[usize], draw: Draw) -> Result<Option<Shift>, ComputeError> {
        let shift = (self.shift > 0).then(|| Shift::new(self.shift, shape, draw));
        Ok(shift.transpose()?)
    }
}
