//! What the training loop asks of a model: gradients and evaluations over one flat weight vector.
//!
//! A gradient is handed over tensor by tensor, while the computation goes on ([`GradientSink`]): what is
//! finished first leaves first.
//!
//! The loop knows nothing else about models. Candle implements this for real training; the
//! simulation implements it with cheap deterministic arithmetic, so that it runs the same loop.

use ps_core::Layout;
use ps_core::coverage::Coverage;
use ps_nn::{GradientSink, StepStart};
use std::sync::{Arc, Mutex, PoisonError};

/// What went wrong while computing, said in full by whoever computed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ComputeError(pub String);

/// What one step computes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Batch {
    /// Training samples that the model has with it, by their numbers.
    Numbers(Vec<u64>),
    /// Samples that came from elsewhere.
    Values {
        /// Sample after sample.
        features: Vec<f32>,
        /// One per sample.
        labels: Vec<u32>,
    },
}

impl Batch {
    /// Number of samples.
    pub fn samples(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Values { labels, .. } => labels.len(),
        }
    }
}

/// The result of one step on one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Gradient of the batch's mean loss, flat, in layout order; zeros where `present` is false.
    pub gradient: Vec<f32>,
    /// Per tensor of the layout: whether this step has a gradient for it at all.
    pub present: Vec<bool>,
    /// Mean loss over the batch.
    pub loss: f64,
    /// Samples in the batch.
    pub samples: u64,
}

/// How good a set of weights is on the test data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean loss over the test samples.
    pub loss: f64,
    /// Share of test samples classified right; `None` for a model that does not classify.
    pub accuracy: Option<f64>,
    /// Test samples seen.
    pub samples: u64,
}

/// Collects a step into one flat vector.
#[derive(Clone)]
struct Collected {
    layout: Layout,
    step: Arc<Mutex<(Step, Vec<Coverage>)>>,
}

impl Collected {
    fn new(layout: Layout) -> Self {
        let gradient = vec![0.0; layout.elements()];
        let present = vec![false; layout.tensors().len()];
        let step = Step { gradient, present, loss: f64::NAN, samples: 0 };
        Self { layout, step: Arc::new(Mutex::new((step, Vec::new()))) }
    }

    fn step(&self) -> Step {
        self.step.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }
}

impl GradientSink for Collected {
    fn begin(&mut self, begun: StepStart) {
        let mut held = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        let (step, coverage) = &mut *held;
        (step.loss, step.samples) = (begun.loss, begun.samples);
        *coverage = begun.coverage;
    }

    fn finished(&mut self, tensor: usize, values: Vec<f32>) {
        let mut held = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        let (step, coverage) = &mut *held;
        step.present[tensor] = true;
        let place = &mut step.gradient[self.layout.range(tensor)];
        let Coverage::Rows(rows) = &coverage[tensor] else {
            place.copy_from_slice(&values);
            return;
        };
        let width = values.len() / rows.len().max(1);
        for (row, values) in rows.iter().zip(values.chunks_exact(width.max(1))) {
            let begin = *row as usize * width;
            place[begin..begin + width].copy_from_slice(values);
        }
    }
}

impl Step {
    /// Hands over a step that is computed already.
    pub fn hand_over(self, layout: &Layout, into: &mut dyn GradientSink) {
        let coverage = |present: &bool| if *present { Coverage::Whole } else { Coverage::Absent };
        let coverage = self.present.iter().map(coverage).collect();
        into.begin(StepStart { loss: self.loss, samples: self.samples, coverage });
        for (tensor, _) in self.present.iter().enumerate().filter(|(_, present)| **present) {
            into.finished(tensor, self.gradient[layout.range(tensor)].to_vec());
        }
    }
}

/// A model together with its data, as the training loop drives it.
pub trait Compute: Send + 'static {
    /// Names and shapes of the model's tensors.
    fn layout(&self) -> &Layout;

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
        batch: Batch,
        seed: u64,
        into: Box<dyn GradientSink>,
    ) -> Result<(), ComputeError>;

    /// The whole step at once.
    ///
    /// # Errors
    /// The computation failed.
    fn step(&mut self, weights: &[f32], batch: &Batch, seed: u64) -> Result<Step, ComputeError> {
        self.load(weights)?;
        let collected = Collected::new(self.layout().clone());
        self.gradient(batch.clone(), seed, Box::new(collected.clone()))?;
        Ok(collected.step())
    }

    /// Loss and accuracy on all test samples at these weights.
    ///
    /// # Errors
    /// The computation failed.
    fn evaluate(&mut self, weights: &[f32]) -> Result<Evaluation, ComputeError>;
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
