//! What the training loop asks of a model: gradients and evaluations over one flat weight vector.
//!
//! A gradient is handed over tensor by tensor, while the computation goes on ([`GradientSink`]): what is
//! finished first leaves first.
//!
//! The loop knows nothing else about models. Candle implements this for real training; the
//! simulation implements it with cheap deterministic arithmetic, so that it runs the same loop.

use ps_core::Layout;
/// How good a set of weights is on a set of samples.
pub use ps_core::scores::Scores as Evaluation;
use ps_data::{Inputs, Labels};
use ps_nn::GradientSink;

/// What went wrong while computing, said in full by whoever computed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ComputeError(pub String);

impl From<ps_data::Error> for ComputeError {
    fn from(error: ps_data::Error) -> Self {
        Self(error.to_string())
    }
}

/// What one step computes on.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleBatch {
    /// Training samples that the model has with it, by their numbers.
    Numbers(Vec<u64>),
    /// Samples that came from elsewhere.
    Values {
        /// Of all samples.
        inputs: Inputs,
        /// Of each sample.
        labels: Labels,
    },
}

impl SampleBatch {
    /// Number of samples.
    pub fn samples(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Values { labels, .. } => labels.len(),
        }
    }
}

/// A model together with its data, as the training loop drives it.
pub trait Compute: Send + 'static {
    /// Names and shapes of the model's tensors.
    fn layout(&self) -> &Layout;

    /// Says which tensors of the layout get no gradient, beside those that the model itself says so of.
    ///
    /// # Errors
    /// Nothing is left to train.
    fn freeze(&mut self, tensors: &[bool]) -> Result<(), ComputeError>;

    /// The weights training starts from, in layout order: a function of the job's seed alone, or the
    /// same for every worker for another reason.
    ///
    /// # Errors
    /// The computation failed.
    fn start_weights(&mut self, seed: u64) -> Result<Vec<f32>, ComputeError>;

    /// Number of training samples; a pass visits each once.
    fn train_samples(&self) -> u64;

    /// Takes these weights for the gradients to come.
    ///
    /// # Errors
    /// The computation failed.
    fn load(&mut self, weights: &[f32]) -> Result<(), ComputeError>;

    /// Loss and gradient of the mean loss over these samples, at the weights that were loaded. What
    /// is drawn at random follows from the seed.
    ///
    /// # Errors
    /// The computation failed; a loss that is not finite is a result, not an error.
    fn gradient(
        &mut self,
        batch: SampleBatch,
        seed: u64,
        into: Box<dyn GradientSink>,
    ) -> Result<(), ComputeError>;

    /// Loss and accuracy on all test samples at these weights.
    ///
    /// # Errors
    /// The computation failed.
    fn evaluate(&mut self, weights: &[f32]) -> Result<Evaluation, ComputeError>;

    /// The same on all validation samples; `None` where there are none.
    ///
    /// # Errors
    /// The computation failed.
    fn validate(&mut self, weights: &[f32]) -> Result<Option<Evaluation>, ComputeError> {
        let _ = weights;
        Ok(None)
    }
}

/// Where computations run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComputeOn {
    /// On a thread of their own, so that heartbeats and transfers go on meanwhile.
    Thread,
    /// On the task that asks: for a simulation, where computing takes no time.
    Task,
}

impl ComputeOn {
    /// Runs a computation over a state that it borrows for the time.
    ///
    /// # Errors
    /// The computation panicked; the state is lost with it.
    pub async fn run<S: Send + 'static, T: Send + 'static>(
        self,
        mut state: S,
        computation: impl FnOnce(&mut S) -> T + Send + 'static,
    ) -> Result<(S, T), ComputeError> {
        match self {
            Self::Task => {
                let result = computation(&mut state);
                Ok((state, result))
            }
            Self::Thread => {
                let thread = tokio::task::spawn_blocking(move || {
                    let result = computation(&mut state);
                    (state, result)
                });
                thread.await.map_err(|error| ComputeError(format!("computing: {error}")))
            }
        }
    }
}
