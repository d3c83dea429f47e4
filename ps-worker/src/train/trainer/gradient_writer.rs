//! A gradient that is filled on the thread that computes it, while its parts leave on others.

use ps_client::{BufferPool, Gradient, Weights};
use ps_core::Layout;
use ps_nn::{GradientSink, StepStart};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A step whose forward pass is done.
pub(super) struct StartedStep {
    pub(super) loss: f64,
    pub(super) samples: u64,
    /// Filled from now on.
    pub(super) gradient: Gradient,
    /// What it is computed from; the model has its own copy.
    pub(super) weights: Weights,
}

/// Fills the gradient of one step.
pub(super) struct GradientWriter {
    layout: Arc<Layout>,
    pool: BufferPool,
    start: Option<(Weights, oneshot::Sender<StartedStep>)>,
    gradient: Option<Gradient>,
}

impl GradientWriter {
    /// Says when the step has started; whoever gave up waiting for that misses nothing.
    pub(super) fn new(
        layout: Arc<Layout>,
        pool: BufferPool,
        weights: Weights,
        start: oneshot::Sender<StartedStep>,
    ) -> Self {
        Self { layout, pool, start: Some((weights, start)), gradient: None }
    }
}

impl GradientSink for GradientWriter {
    fn begin(&mut self, begun: StepStart) {
        let Some((weights, start)) = self.start.take() else { return };
        let StepStart { loss, samples, coverage } = begun;
        let (layout, pool) = (self.layout.clone(), self.pool.clone());
        let gradient = Gradient::with_pool(layout, coverage, loss, pool);
        self.gradient = Some(gradient.clone());
        let _ = start.send(StartedStep { loss, samples, gradient, weights });
    }

    fn finished(&mut self, tensor: usize, values: Vec<f32>) {
        if let Some(gradient) = &self.gradient {
            gradient.fill(tensor, values);
        }
    }

    fn buffer(&mut self, length: usize) -> Vec<f32> {
        self.pool.take(length)
    }
}
