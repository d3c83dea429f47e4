//! Samples of one step.

use tokio::sync::mpsc;

use crate::{Error, Inputs, Label, Labels};

/// Samples of one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamBatch {
    /// Of all samples.
    pub inputs: Inputs,
    /// Their labels.
    pub labels: Labels,
}

impl StreamBatch {
    pub(super) fn push(&mut self, sample: &Inputs, label: Label) -> Result<(), String> {
        self.inputs.extend(sample);
        self.labels.push(label)
    }
}

/// Where batches go, and the error that ends a stream.
pub(super) type BatchSender = mpsc::Sender<Result<StreamBatch, Error>>;
