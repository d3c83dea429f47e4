//! A model whose passes are timed.

use ps_core::Layout;
use ps_core::coverage::Coverage;
use ps_nn::{GradientSink, StepStart};
use ps_worker::compute::{Compute, ComputeError, Evaluation, SampleBatch};
use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time in the passes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) forward: Duration,
    pub(crate) backward: Duration,
}

/// The same, shared with whoever asks.
#[derive(Clone, Default)]
pub(crate) struct SharedTimes(Arc<Mutex<Times>>);

impl SharedTimes {
    /// The times since the last question.
    pub(crate) fn take(&self) -> Times {
        take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, forward: Duration, backward: Duration) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.forward += forward;
        times.backward += backward;
    }
}

/// Times a model.
pub(crate) struct Timed<C> {
    compute: C,
    times: SharedTimes,
}

/// Notes when the forward pass is done.
struct Noting {
    into: Box<dyn GradientSink>,
    begun: Arc<Mutex<Option<Instant>>>,
}

impl GradientSink for Noting {
    fn begin(&mut self, begun: StepStart) {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.into.begin(begun);
    }

    fn finished(&mut self, tensor: usize, values: Vec<f32>) {
        self.into.finished(tensor, values);
    }

    fn buffer(&mut self, length: usize) -> Vec<f32> {
        self.into.buffer(length)
    }
}

/// Plain SGD as soon as a gradient is there, on weights that the model has its own copy of.
struct Descent {
    layout: Layout,
    weights: Arc<Mutex<Vec<f32>>>,
    rooms: Arc<Mutex<Vec<Vec<f32>>>>,
    coverage: Vec<Coverage>,
}

impl GradientSink for Descent {
    fn begin(&mut self, begun: StepStart) {
        self.coverage = begun.coverage;
    }

    fn finished(&mut self, tensor: usize, values: Vec<f32>) {
        let mut weights = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        let range = self.layout.range(tensor);
        if range.start >= self.layout.state_start() {
            weights[range].copy_from_slice(&values);
            return;
        }
        let mut descend = |begin: usize, gradient: &[f32]| {
            let weights = weights[begin..begin + gradient.len()].iter_mut();
            weights.zip(gradient).for_each(|(weight, gradient)| *weight -= 0.01 * gradient);
        };
        if let Coverage::Rows(rows) = &self.coverage[tensor] {
            let width = values.len() / rows.len().max(1);
            let rows = rows.iter().zip(values.chunks_exact(width.max(1)));
            rows.for_each(|(row, values)| descend(range.start + *row as usize * width, values));
        } else {
            descend(range.start, &values);
        }
        drop(weights);
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).push(values);
    }

    fn buffer(&mut self, length: usize) -> Vec<f32> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = rooms.iter().position(|room| room.len() == length);
        fitting.map_or_else(|| vec![0.0; length], |place| rooms.swap_remove(place))
    }
}

impl<C: Compute> Timed<C> {
    pub(crate) fn new(compute: C) -> Self {
        Self { compute, times: SharedTimes::default() }
    }

    pub(crate) fn times(&self) -> SharedTimes {
        self.times.clone()
    }

    /// One step of plain SGD without any server.
    pub(crate) fn step_in_place(
        &mut self,
        weights: &mut Vec<f32>,
        batch: SampleBatch,
        seed: u64,
        rooms: &Arc<Mutex<Vec<Vec<f32>>>>,
    ) -> Result<(), ComputeError> {
        self.compute.load(weights)?;
        let shared = Arc::new(Mutex::new(take(weights)));
        let descent = Descent {
            layout: self.compute.layout().clone(),
            weights: shared.clone(),
            rooms: rooms.clone(),
            coverage: Vec::new(),
        };
        self.gradient(batch, seed, Box::new(descent))?;
        *weights = take(&mut shared.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

impl<C: Compute> Compute for Timed<C> {
    fn layout(&self) -> &Layout {
        self.compute.layout()
    }

    fn freeze(&mut self, tensors: &[bool]) -> Result<(), ComputeError> {
        self.compute.freeze(tensors)
    }

    fn start_weights(&mut self, seed: u64) -> Result<Vec<f32>, ComputeError> {
        self.compute.start_weights(seed)
    }

    fn train_samples(&self) -> u64 {
        self.compute.train_samples()
    }

    fn load(&mut self, weights: &[f32]) -> Result<(), ComputeError> {
        self.compute.load(weights)
    }

    fn gradient(
        &mut self,
        batch: SampleBatch,
        seed: u64,
        into: Box<dyn GradientSink>,
    ) -> Result<(), ComputeError> {
        let (start, begun) = (Instant::now(), Arc::new(Mutex::new(None)));
        self.compute.gradient(batch, seed, Box::new(Noting { into, begun: begun.clone() }))?;
        let end = Instant::now();
        let middle = begun.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(end);
        self.times.add(middle - start, end - middle);
        Ok(())
    }

    fn evaluate(&mut self, weights: &[f32]) -> Result<Evaluation, ComputeError> {
        self.compute.evaluate(weights)
    }
}
