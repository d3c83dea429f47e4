//! Samples of one step.

use tokio::sync::mpsc;

use crate::{Error, Label, Labels};

/// Samples of one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamBatch {
    /// Inputs of all samples, sample after sample.
    pub features: Vec<f32>,
    /// Their labels.
    pub labels: Labels,
}

impl StreamBatch {
    pub(super) fn push(&mut self, sample: &[f32], label: Label) -> Result<(), String> {
        self.features.extend_from_slice(sample);
        self.labels.push(label)
    }
}

/// Where batches go, and the error that ends a stream.
pub(super) type BatchSender = mpsc::Sender<Result<StreamBatch, Error>>;
