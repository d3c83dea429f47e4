//! How the gradients of a step leave the computation, one after another.

use ps_core::coverage::Coverage;

/// What is known of a step before its backward pass.
#[derive(Clone, Debug)]
pub struct StepStart {
    /// Mean loss over the batch.
    pub loss: f64,
    /// Samples in the batch.
    pub samples: u64,
    /// By tensor of the layout. Of a state tensor: whether it has a new value.
    pub coverage: Vec<Coverage>,
}

/// Takes a step as it is computed, on the thread that computes.
pub trait GradientSink: Send {
    /// The forward pass is done.
    fn begin(&mut self, start: StepStart);

    /// The gradient of the mean loss by a tensor, or a state tensor's new value, is finished: as many
    /// values as it has elements, or as the rows have that [`StepStart::coverage`] names. Once for
    /// each tensor that is covered.
    fn finished(&mut self, tensor: usize, values: Vec<f32>);

    /// A buffer of this length whose values count for nothing, to write a gradient in.
    fn buffer(&mut self, length: usize) -> Vec<f32> {
        vec![0.0; length]
    }
}
