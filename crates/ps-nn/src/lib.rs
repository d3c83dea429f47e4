//! Layers for models that are trained: right gradients, and as fast on a processor as it allows.
//!
//! Candle has layers of its own; of those some have a wrong gradient (`max_pool2d`) or silently none
//! (`LayerNorm` with bias, `RmsNorm`, `softmax_last_dim`), and convolution is slow. These are candle
//! operations with a forward and a backward pass of their own, so that both kinds go together in one
//! model. On a processor a layer is one operation over slices (`kernels/`), whose matrix products
//! are the gemm crate's; on a GPU it is made of candle's operations. See docs/adr/0011-layers.md.
//!
//! A layer's gradient goes to whoever trains as soon as it is finished, while the backward pass goes
//! on: a [`GradientCollector`] gives it to a [`GradientSink`]. Where nobody collects them, as in a loop
//! of one's own, candle's store gets it. How a layer of your own does that: [`custom`].

mod activation;
mod attention;
mod batch_norm;
mod collector;
mod convolution;
pub mod custom;
mod delivery;
mod dropout;
mod embedding;
mod gradient_sink;
mod host_copies;
mod kernels;
mod linear;
mod loss;
mod norm;
mod number_loss;
mod parameter_gradient;
mod pooling;
mod saved;
mod softmax;
mod tensor;
mod tracked;

pub use activation::Activation;
pub use attention::CausalSelfAttention;
pub use batch_norm::BatchNorm;
pub use collector::{Completion, GradientCollector};
pub use convolution::{Conv2d, Conv2dConfig};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use gradient_sink::{GradientSink, StepStart};
pub use host_copies::HostCopies;
pub use linear::Linear;
pub use loss::{cross_entropy, weighted_cross_entropy};
pub use norm::{LayerNorm, RmsNorm};
pub use number_loss::{NumberLoss, binary_cross_entropy_with_logits, number_loss};
pub use pooling::PoolConfig;
pub use softmax::softmax;
pub use tensor::{composed, composed_if, floats, is_composed};

/// What a forward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A step of training; what is drawn at random follows from the seed, which is another in each
    /// step of each worker.
    Training {
        /// The step's own seed.
        seed: u64,
    },
    /// A measurement: nothing is random, and nothing is learnt.
    Evaluating,
}
