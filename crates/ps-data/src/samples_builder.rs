//! Samples, one after another, become a set.

use std::path::Path;

use crate::error::check_limits;
use crate::limits::{FEATURE_BYTES_MAX, SAMPLES_MAX};
use crate::{Error, Features, Samples};

/// A set that grows.
#[derive(Default)]
pub(crate) struct SamplesBuilder {
    /// Inputs of all samples so far; a reader appends those of the next.
    pub(crate) inputs: Vec<f32>,
    labels: Vec<u32>,
    shape: Vec<usize>,
}

impl SamplesBuilder {
    /// Takes in the sample whose inputs were appended.
    pub(crate) fn push(&mut self, path: &Path, shape: &[usize], label: u32) -> Result<(), Error> {
        if self.labels.is_empty() {
            shape.clone_into(&mut self.shape);
        }
        self.labels.push(label);
        check_size(path, self.labels.len(), self.inputs.len())
    }

    /// Number of samples so far.
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The shape of every sample so far, `None` before the first.
    pub(crate) fn shape(&self) -> Option<&[usize]> {
        (!self.labels.is_empty()).then_some(&self.shape[..])
    }

    /// The set.
    pub(crate) fn build(mut self, path: &Path) -> Result<Samples, Error> {
        self.inputs.shrink_to_fit();
        Samples::new(Features::Floats(self.inputs), self.shape, self.labels).ok_or_else(|| {
            let problem = "the samples gave an unexpected number of inputs".to_owned();
            Error::File { path: path.to_owned(), problem }
        })
    }
}

fn check_size(path: &Path, samples: usize, inputs: usize) -> Result<(), Error> {
    let bytes = inputs as u128 * size_of::<f32>() as u128;
    let samples = ("the number of samples", samples as u128, SAMPLES_MAX);
    let size = ("the size of the inputs in memory, in bytes,", bytes, FEATURE_BYTES_MAX);
    let hint = "use fewer samples, or fewer columns of text (each distinct text is one input)";
    check_limits(path, [samples, size], hint)
}
