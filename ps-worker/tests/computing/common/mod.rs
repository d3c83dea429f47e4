//! One step of a model at once.

pub(crate) mod recorder;

use std::sync::{Arc, Mutex};

use ps_core::Layout;
use ps_core::coverage::Coverage;
use ps_nn::{GradientSink, StepStart};
use ps_worker::compute::{Compute, ComputeError, SampleBatch};

/// The result of one step on one batch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// Gradient of the batch's mean loss, flat, in layout order; zeros where `present` is false.
    pub(crate) gradient: Vec<f32>,
    /// Per tensor of the layout: whether this step has a gradient for it at all.
    pub(crate) present: Vec<bool>,
    /// Mean loss over the batch.
    pub(crate) loss: f64,
    /// Samples in the batch.
    pub(crate) samples: u64,
}

/// Loss and gradient of a batch at these weights.
pub(crate) fn compute_step(
    compute: &mut dyn Compute,
    weights: &[f32],
    batch: &SampleBatch,
    seed: u64,
) -> Result<Step, ComputeError> {
    compute.load(weights)?;
    let collector = StepCollector::new(compute.layout().clone());
    compute.gradient(batch.clone(), seed, Box::new(collector.clone()))?;
    let step = collector.step.lock().unwrap().0.clone();
    Ok(step)
}

/// Collects a step into one flat vector.
#[derive(Clone)]
struct StepCollector {
    layout: Layout,
    step: Arc<Mutex<(Step, Vec<Coverage>)>>,
}

impl StepCollector {
    fn new(layout: Layout) -> Self {
        let gradient = vec![0.0; layout.elements()];
        let present = vec![false; layout.tensors().len()];
        let step = Step { gradient, present, loss: f64::NAN, samples: 0 };
        Self { layout, step: Arc::new(Mutex::new((step, Vec::new()))) }
    }
}

impl GradientSink for StepCollector {
    fn begin(&mut self, begun: StepStart) {
        let mut collected = self.step.lock().unwrap();
        let (step, coverage) = &mut *collected;
        (step.loss, step.samples) = (begun.loss, begun.samples);
        *coverage = begun.coverage;
    }

    fn finished(&mut self, tensor: usize, values: Vec<f32>) {
        let mut collected = self.step.lock().unwrap();
        let (step, coverage) = &mut *collected;
        step.present[tensor] = true;
        let of_tensor = &mut step.gradient[self.layout.range(tensor)];
        let Coverage::Rows(rows) = &coverage[tensor] else {
            of_tensor.copy_from_slice(&values);
            return;
        };
        let width = values.len() / rows.len().max(1);
        for (row, values) in rows.iter().zip(values.chunks_exact(width.max(1))) {
            let begin = *row as usize * width;
            of_tensor[begin..begin + width].copy_from_slice(values);
        }
    }
}
