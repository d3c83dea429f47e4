//! Samples, one after another, become a set.

use std::path::Path;

use crate::error::check_limits;
use crate::limits::{FEATURE_BYTES_MAX, SAMPLES_MAX};
use crate::{Error, Features, Inputs, Label, Labels, Samples};

/// A set that grows.
#[derive(Default)]
pub(crate) struct SamplesBuilder {
    /// Inputs of all samples so far; a reader appends those of the next.
    pub(crate) inputs: Inputs,
    labels: Labels,
    shape: Vec<usize>,
}

impl SamplesBuilder {
    /// Takes in the sample whose inputs were appended.
    pub(crate) fn push(&mut self, path: &Path, shape: &[usize], label: Label) -> Result<(), Error> {
        if self.labels.is_empty() {
            shape.clone_into(&mut self.shape);
        }
        let pushed = self.labels.push(label);
        pushed.map_err(|problem| Error::File { path: path.to_owned(), problem })?;
        check_size(path, self.labels.len(), &self.inputs)
    }

    /// Takes in samples whose inputs were appended.
    pub(crate) fn extend(
        &mut self,
        path: &Path,
        shape: &[usize],
        labels: Labels,
    ) -> Result<(), Error> {
        shape.clone_into(&mut self.shape);
        let extended = self.labels.extend(labels);
        extended.map_err(|problem| Error::File { path: path.to_owned(), problem })?;
        check_size(path, self.labels.len(), &self.inputs)
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
    pub(crate) fn build(self, path: &Path) -> Result<Samples, Error> {
        let Inputs { mut features, mut ids } = self.inputs;
        features.shrink_to_fit();
        ids.shrink_to_fit();
        let samples = Samples::new(Features::Floats(features.into()), self.shape, self.labels);
        samples.and_then(|samples| samples.with_ids(ids.into())).ok_or_else(|| {
            let problem = "the samples gave an unexpected number of inputs".to_owned();
            Error::File { path: path.to_owned(), problem }
        })
    }
}

fn check_size(path: &Path, samples: usize, inputs: &Inputs) -> Result<(), Error> {
    let values = inputs.features.len() as u128 + inputs.ids.len() as u128;
    let bytes = values * size_of::<f32>() as u128;
    let samples = ("the number of samples", samples as u128, SAMPLES_MAX);
    let size = ("the size of the inputs in memory, in bytes,", bytes, FEATURE_BYTES_MAX);
    let hint = "use fewer samples, or fewer columns of text (each distinct text is one input)";
    check_limits(path, [samples, size], hint)
}
