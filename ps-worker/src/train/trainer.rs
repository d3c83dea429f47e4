//! One training step: pull, compute, clip, push. The only place where client and model meet.

use super::{Counters, Error, clip};
use crate::client::{Client, Gradient, PushReport, Weights};
use crate::compute::{Compute, ComputeError, ComputeOn, Evaluation};
use ps_core::Layout;
use ps_core::ids::Clock;
use ps_core::settings::TrainingSettings;
use ps_runtime::Outside;
use std::sync::Arc;
use std::time::Duration;

/// A model with the weights that it computes on.
struct Engine {
    compute: Box<dyn Compute>,
    weights: Weights,
}

/// What one step gave.
#[derive(Clone, Debug)]
pub struct StepOutcome {
    /// Mean loss of the batch.
    pub loss: f64,
    /// Samples of the batch.
    pub samples: u64,
    /// What became of the push.
    pub report: PushReport,
}

/// Trains one model against one set of servers.
pub struct Trainer {
    client: Arc<Client>,
    engine: Option<Engine>,
    layout: Arc<Layout>,
    settings: TrainingSettings,
    counters: Arc<Counters>,
    compute_on: ComputeOn,
    outside: Outside,
    /// Whether the weights in hand are those for the next step.
    is_fresh: bool,
}

impl Trainer {
    /// A trainer that starts at this clock, unless the others are further.
    pub fn new(
        client: Arc<Client>,
        compute: Box<dyn Compute>,
        settings: TrainingSettings,
        counters: Arc<Counters>,
        compute_on: ComputeOn,
        outside: Outside,
    ) -> Self {
        let layout = Arc::new(compute.layout().clone());
        let weights = Weights::new(&settings.model_spec(&layout, client.shards()));
        let engine = Some(Engine { compute, weights });
        Self { client, engine, layout, settings, counters, compute_on, outside, is_fresh: false }
    }

    /// Creates the model on the servers, or checks that they hold the same.
    ///
    /// # Errors
    /// The servers hold another model, or are away.
    pub async fn init(&mut self) -> Result<(), Error> {
        let seed = self.settings.seed;
        let start = self.compute(move |engine| engine.compute.start_weights(seed)).await??;
        let spec = self.settings.model_spec(&self.layout, self.client.shards());
        Ok(self.client.init(&spec, &start).await?)
    }

    /// The model, for another trainer.
    pub fn into_compute(self) -> Option<Box<dyn Compute>> {
        self.engine.map(|engine| engine.compute)
    }

    /// Lifts the clock: a joiner, or one that was idle, starts where the others are.
    pub fn start_at(&mut self, clock: Clock) {
        if let Some(engine) = self.engine.as_mut().filter(|engine| engine.weights.clock() < clock) {
            engine.weights.set_clock(clock);
            self.is_fresh = false;
        }
    }

    /// Trains on one batch. `progress` is the share of the job that is done; when `more` steps
    /// follow at once, the push brings the next weights with it.
    ///
    /// # Errors
    /// The computation failed, the worker was superseded, or a server is away.
    pub async fn step(
        &mut self,
        samples: Vec<u64>,
        progress: f64,
        more: bool,
    ) -> Result<StepOutcome, Error> {
        let begun = self.outside.clock.now();
        self.refresh().await?;
        let pulled = self.outside.clock.now();
        let step = self
            .compute(move |engine| engine.compute.gradient(engine.weights.values(), &samples))
            .await??;
        let computed = self.outside.clock.now();
        let (loss, samples) = (step.loss, step.samples);
        let mut values = step.gradient;
        if let Some(norm_max) = self.settings.clip_norm {
            clip::clip_global_norm(&mut values, norm_max);
        }
        let gradient = Gradient::new(self.layout.clone(), values, step.present, loss);
        let report = self.exchange(&gradient, progress, more).await?;
        let done = self.outside.clock.now();
        self.counters.spent(computed - pulled, (pulled - begun) + (done - computed));
        self.counters.stepped(samples, loss, self.clock(), &report);
        self.counters.take_traffic(&self.client);
        Ok(StepOutcome { loss, samples, report })
    }

    async fn exchange(
        &mut self,
        gradient: &Gradient,
        progress: f64,
        more: bool,
    ) -> Result<PushReport, Error> {
        let rate = self.settings.learning_rate.rate(progress);
        let engine = self.engine.as_mut().ok_or_else(lost)?;
        let waiting = Waiting::new(&self.counters);
        let report = if more {
            self.client.push_pull(gradient, rate, &mut engine.weights).await
        } else {
            let report = self.client.push(gradient, rate, &engine.weights).await;
            engine.weights.set_clock(engine.weights.clock() + 1);
            report
        };
        drop(waiting);
        self.is_fresh = more && report.is_ok();
        Ok(report?)
    }

    /// Makes the weights in hand those for the next step.
    async fn refresh(&mut self) -> Result<(), Error> {
        if self.is_fresh {
            return Ok(());
        }
        let engine = self.engine.as_mut().ok_or_else(lost)?;
        let waiting = Waiting::new(&self.counters);
        let clock = engine.weights.clock();
        self.client.pull(clock, &mut engine.weights).await?;
        drop(waiting);
        self.is_fresh = true;
        Ok(())
    }

    /// Training samples of the model's data.
    pub fn train_samples(&self) -> u64 {
        self.engine.as_ref().map_or(0, |engine| engine.compute.train_samples())
    }

    /// Takes the weights as the servers hold them now, whatever the gate says.
    ///
    /// # Errors
    /// A server is away.
    pub async fn read(&mut self) -> Result<u32, Error> {
        let engine = self.engine.as_mut().ok_or_else(lost)?;
        self.is_fresh = false;
        self.client.read(&mut engine.weights).await?;
        Ok(engine.weights.digest())
    }

    /// Evaluates the weights as the servers hold them now; with their digest.
    ///
    /// # Errors
    /// The computation failed, or a server is away.
    pub async fn evaluate(&mut self) -> Result<(Evaluation, u32), Error> {
        let digest = self.read().await?;
        let evaluation =
            self.compute(|engine| engine.compute.evaluate(engine.weights.values())).await??;
        Ok((evaluation, digest))
    }

    /// Room for the model's weights.
    pub fn empty_weights(&self) -> Weights {
        Weights::new(&self.settings.model_spec(&self.layout, self.client.shards()))
    }

    fn clock(&self) -> Clock {
        self.engine.as_ref().map_or(0, |engine| engine.weights.clock())
    }

    async fn compute<T: Send + 'static>(
        &mut self,
        computation: impl FnOnce(&mut Engine) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let engine = self.engine.take().ok_or_else(lost)?;
        let (engine, result) = self.compute_on.run(engine, computation).await?;
        self.engine = Some(engine);
        Ok(result)
    }
}

/// Marks the time that a worker waits for servers.
struct Waiting<'a>(&'a Counters);

impl<'a> Waiting<'a> {
    fn new(counters: &'a Counters) -> Self {
        counters.set_exchanging(true);
        Self(counters)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set_exchanging(false);
    }
}

fn lost() -> Error {
    Error::Compute(ComputeError("the model was lost in an interrupted step".to_owned()))
}

/// How long a worker that must stop may still finish the step in hand.
pub(super) const FINISH_STEP: Duration = Duration::from_secs(2);
