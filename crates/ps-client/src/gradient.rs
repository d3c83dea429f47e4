//! A gradient on its way to the servers: bytes that every retry sends again, unchanged.
//!
//! It can begin to leave before it is finished: its tensors arrive one after another, and a chunk
//! can be sent when all that it covers is there.

mod covered;
#[cfg(test)]
mod tests;

use crate::clip::clip_scale;
use crate::pool::{BufferPool, Floats};
use bytes::Bytes;
use ps_core::Layout;
use ps_core::coverage::Coverage;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// A gradient in layout order, which tensors it covers, and how much of it is there.
#[derive(Clone, Debug)]
pub struct Gradient(Arc<GradientState>);

#[derive(Debug)]
struct GradientState {
    layout: Arc<Layout>,
    coverage: Vec<Coverage>,
    loss: f32,
    tensors: Vec<OnceLock<TensorValues>>,
    /// Tensors that are covered and not there yet.
    missing: watch::Sender<usize>,
    pool: BufferPool,
}

/// The covered elements of a tensor: a part of a buffer.
#[derive(Clone, Debug)]
struct TensorValues {
    floats: Arc<Floats>,
    /// The same memory.
    bytes: Bytes,
    /// First of the tensor's elements in it.
    begin: usize,
}

impl TensorValues {
    fn new(floats: Arc<Floats>, begin: usize) -> Self {
        Self { bytes: Floats::bytes_of(floats.clone()), floats, begin }
    }
}

impl Gradient {
    /// A gradient of the whole model, without a copy; `present[i]` says whether tensor i has one. Of
    /// a state tensor it is the new value.
    pub fn new(layout: Arc<Layout>, values: Vec<f32>, present: Vec<bool>, loss: f64) -> Self {
        let coverage = |present: &bool| if *present { Coverage::Whole } else { Coverage::Absent };
        let coverage = present.iter().map(coverage).collect();
        let gradient = Self::begin(layout, coverage, loss);
        let whole = TensorValues::new(Arc::new(Floats::new(values, None)), 0);
        for (tensor, _) in present.iter().enumerate().filter(|(_, present)| **present) {
            gradient.put(
                tensor,
                TensorValues { begin: gradient.0.layout.range(tensor).start, ..whole.clone() },
            );
        }
        gradient
    }

    /// A gradient none of which is there yet: what of each tensor will come.
    pub fn begin(layout: Arc<Layout>, coverage: Vec<Coverage>, loss: f64) -> Self {
        Self::with_pool(layout, coverage, loss, BufferPool::default())
    }

    /// The same; buffers come back to `pool` when their values have arrived.
    pub fn with_pool(
        layout: Arc<Layout>,
        coverage: Vec<Coverage>,
        loss: f64,
        pool: BufferPool,
    ) -> Self {
        let tensors = coverage.iter().map(|_| OnceLock::new()).collect();
        let missing = coverage.iter().filter(|coverage| **coverage != Coverage::Absent).count();
        let (missing, loss) = (watch::Sender::new(missing), loss as f32);
        Self(Arc::new(GradientState { layout, coverage, loss, tensors, missing, pool }))
    }

    /// The values of a tensor are there: as many as are covered. A second time they count for nothing.
    pub fn fill(&self, tensor: usize, values: Vec<f32>) {
        let is_whole = self.0.coverage[tensor] == Coverage::Whole;
        let pool = is_whole.then(|| self.0.pool.clone());
        self.put(tensor, TensorValues::new(Arc::new(Floats::new(values, pool)), 0));
    }

    fn put(&self, tensor: usize, values: TensorValues) {
        if self.0.tensors[tensor].set(values).is_ok() {
            self.0.missing.send_modify(|missing| *missing -= 1);
        }
    }

    /// Whether all of it is there.
    pub(crate) fn is_complete(&self) -> bool {
        *self.0.missing.borrow() == 0
    }

    /// Waits until all of it is there.
    pub(crate) async fn complete(&self) {
        // The sender lives as long as this does.
        let _ = self.0.missing.subscribe().wait_for(|missing| *missing == 0).await;
    }

    /// Tells whoever looks again when more is there.
    pub(crate) fn arrivals(&self) -> watch::Receiver<usize> {
        self.0.missing.subscribe()
    }

    pub(crate) fn loss(&self) -> f32 {
        self.0.loss
    }

    /// Whether state tensors have new values.
    pub(crate) fn has_state(&self) -> bool {
        let state = self.0.layout.state_start();
        let tensors = self.0.coverage.iter().enumerate();
        tensors.rev().take_while(|(tensor, _)| self.0.layout.range(*tensor).start >= state).any(
            |(tensor, coverage)| {
                *coverage != Coverage::Absent && !self.0.layout.range(tensor).is_empty()
            },
        )
    }

    /// First element of the state tensors.
    pub(crate) fn state_start(&self) -> usize {
        self.0.layout.state_start()
    }

    /// Scales the gradient, all of which is there and no part of which has left, so that its
    /// Euclidean norm is at most this; state tensors have no part in it.
    pub fn clip(self, norm_max: f64) -> Self {
        let state = self.state_start();
        let is_trained = |tensor: &usize| self.0.layout.range(*tensor).start < state;
        let trained = (0..self.0.tensors.len()).filter(is_trained);
        let values = trained.map(|tensor| self.tensor(tensor));
        let Some(scale) = clip_scale(values, norm_max) else { return self };
        let GradientState { layout, coverage, loss, pool, .. } = &*self.0;
        let (layout, coverage) = (layout.clone(), coverage.clone());
        let clipped = Self::with_pool(layout, coverage, f64::from(*loss), pool.clone());
        for (tensor, values) in self.0.tensors.iter().enumerate() {
            let Some(values) = values.get() else { continue };
            if is_trained(&tensor) {
                let scaled = self.tensor(tensor).iter().map(|value| value * scale);
                clipped.fill(tensor, scaled.collect());
            } else {
                clipped.put(tensor, values.clone());
            }
        }
        clipped
    }

    /// The covered values of a tensor.
    fn tensor(&self, tensor: usize) -> &[f32] {
        let count = match &self.0.coverage[tensor] {
            Coverage::Absent => 0,
            Coverage::Whole => self.0.layout.range(tensor).len(),
            Coverage::Rows(rows) => rows.len() * self.row(tensor),
        };
        let values = self.0.tensors[tensor].get();
        values.map_or(&[], |values| &values.floats.values()[values.begin..values.begin + count])
    }

    /// Elements in a row of a table.
    fn row(&self, tensor: usize) -> usize {
        self.0.layout.tensors()[tensor].shape.iter().skip(1).product()
    }
}
