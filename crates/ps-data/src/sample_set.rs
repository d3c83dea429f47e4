//! Training samples that are read by their numbers, wherever they are.

use crate::{Dataset, Inputs, Labels};

/// Training samples that are read by their numbers, to train on here or to be sent: those of a
/// [`Dataset`], or what a program has instead.
pub trait SampleSet: Send + Sync {
    /// Number of samples.
    fn count(&self) -> u64;

    /// Shape of the features of one sample; its product is 0 only where there is no sample, or ids alone.
    fn shape(&self) -> &[usize];

    /// Features of one sample.
    fn features_per_sample(&self) -> usize {
        self.shape().iter().product()
    }

    /// Columns of ids, of which each sample has one.
    fn id_columns(&self) -> usize {
        0
    }

    /// Numbers of one label, at least 1.
    fn numbers_per_label(&self) -> usize {
        1
    }

    /// The inputs and labels of these samples, in this order.
    ///
    /// # Errors
    /// A number beyond the last sample.
    fn gather(&self, numbers: &[u64]) -> Result<(Inputs, Labels), String>;
}

impl SampleSet for Dataset {
    fn count(&self) -> u64 {
        self.train.len() as u64
    }

    fn shape(&self) -> &[usize] {
        self.train.shape()
    }

    fn id_columns(&self) -> usize {
        self.train.id_columns()
    }

    fn numbers_per_label(&self) -> usize {
        match self.train.labels() {
            Labels::Classes(_) => 1,
            Labels::Numbers { each, .. } => *each,
        }
    }

    fn gather(&self, numbers: &[u64]) -> Result<(Inputs, Labels), String> {
        self.train.gather(numbers).map_err(|error| error.to_string())
    }
}
