//! Samples by their numbers.

use crate::Dataset;

/// Samples by their numbers, to train on here or to be sent.
pub trait SampleSet: Send + Sync {
    /// How many there are.
    fn count(&self) -> u64;

    /// Shape of one sample; its product is not 0 where there is any.
    fn shape(&self) -> &[usize];

    /// Inputs of one sample.
    fn inputs(&self) -> usize {
        self.shape().iter().product()
    }

    /// Features, sample after sample, and labels.
    ///
    /// # Errors
    /// There is no such sample.
    fn gather(&self, numbers: &[u64]) -> Result<(Vec<f32>, Vec<u32>), String>;
}

impl SampleSet for Dataset {
    fn count(&self) -> u64 {
        self.train.len() as u64
    }

    fn shape(&self) -> &[usize] {
        self.train.shape()
    }

    fn gather(&self, numbers: &[u64]) -> Result<(Vec<f32>, Vec<u32>), String> {
        self.train.gather(numbers).map_err(|error| error.to_string())
    }
}
