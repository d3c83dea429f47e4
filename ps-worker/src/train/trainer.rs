//! One training step: pull, compute, clip, push. The only place where client and model meet.

use super::{Counters, Error, clip};
use crate::client::{Client, Gradient, PushReport, Weights};
use crate::compute::{Batch, Compute, ComputeError, ComputeOn, Evaluation};
use ps_core::Layout;
use ps_core::ids::Clock;
use ps_core::settings::TrainingSettings;
use ps_runtime::Outside;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// A model with the weights that it computes on.
struct Engine {
    /// Taken when the trainer ends and another goes on with the model.
    compute: Option<Box<dyn Compute>>,
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
    /// Locked while it computes, on a thread that goes on when the step is given up: whoever comes
    /// next waits for it, and the model is not lost.
    engine: Arc<Mutex<Engine>>,
    layout: Arc<Layout>,
    train_samples: u64,
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
        let train_samples = compute.train_samples();
        let engine = Arc::new(Mutex::new(Engine { compute: Some(compute), weights }));
        Self {
            client,
            engine,
            layout,
            train_samples,
            settings,
            counters,
            compute_on,
            outside,
            is_fresh: false,
        }
    }

    /// Creates the model on the servers, or checks that they hold the same.
    ///
    /// # Errors
    /// The servers hold another model, or are away.
    pub async fn init(&mut self) -> Result<(), Error> {
        let seed = self.settings.seed;
        let start = self.compute(move |compute, _| compute.start_weights(seed)).await?;
        let spec = self.settings.model_spec(&self.layout, self.client.shards());
        Ok(self.client.init(&spec, &start).await?)
    }

    /// The model, for another trainer; waits for a computation that was given up.
    pub async fn into_compute(self) -> Option<Box<dyn Compute>> {
        self.engine.lock().await.compute.take()
    }

    /// Lifts the clock: a joiner, or one that was idle, starts where the others are.
    pub async fn start_at(&mut self, clock: Clock) {
        let mut engine = self.engine.lock().await;
        if engine.weights.clock() < clock {
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
        batch: Batch,
        progress: f64,
        more: bool,
    ) -> Result<StepOutcome, Error> {
        let begun = self.outside.clock.now();
        self.refresh().await?;
        let pulled = self.outside.clock.now();
        let step = self
            .compute(move |compute, weights| compute.gradient(weights.values(), &batch))
            .await?;
        let computed = self.outside.clock.now();
        let (loss, samples) = (step.loss, step.samples);
        let mut values = step.gradient;
        if let Some(norm_max) = self.settings.clip_norm {
            clip::clip_global_norm(&mut values, norm_max);
        }
        let gradient = Gradient::new(self.layout.clone(), values, step.present, loss);
        let (report, clock) = self.exchange(&gradient, progress, more).await?;
        let done = self.outside.clock.now();
        self.counters.spent(computed - pulled, (pulled - begun) + (done - computed));
        self.counters.stepped(samples, loss, clock, &report);
        self.counters.take_traffic(&self.client);
        Ok(StepOutcome { loss, samples, report })
    }

    /// Pushes, and pulls if more is to come; the report, and the clock after the step.
    async fn exchange(
        &mut self,
        gradient: &Gradient,
        progress: f64,
        more: bool,
    ) -> Result<(PushReport, Clock), Error> {
        let rate = self.settings.learning_rate.rate(progress);
        let mut engine = self.engine.lock().await;
        let weights = &mut engine.weights;
        let _waiting = Waiting::new(&self.counters);
        self.is_fresh = false;
        if more {
            let report = self.client.push_pull(gradient, rate, weights).await?;
            self.is_fresh = true;
            return Ok((report, weights.clock()));
        }
        let report = self.client.push(gradient, rate, weights).await?;
        weights.set_clock(weights.clock() + 1);
        Ok((report, weights.clock()))
    }

    /// Makes the weights in hand those for the next step.
    async fn refresh(&mut self) -> Result<(), Error> {
        if self.is_fresh {
            return Ok(());
        }
        let mut engine = self.engine.lock().await;
        let _waiting = Waiting::new(&self.counters);
        let clock = engine.weights.clock();
        self.client.pull(clock, &mut engine.weights).await?;
        self.is_fresh = true;
        Ok(())
    }

    /// Training samples of the model's data.
    pub fn train_samples(&self) -> u64 {
        self.train_samples
    }

    /// Takes the weights as the servers hold them now, whatever the gate says; their digest.
    ///
    /// # Errors
    /// A server is away.
    pub async fn read(&mut self) -> Result<u32, Error> {
        let mut engine = self.engine.lock().await;
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
            self.compute(|compute, weights| compute.evaluate(weights.values())).await?;
        Ok((evaluation, digest))
    }

    /// The weights in hand, in layout order.
    pub async fn weights(&self) -> Vec<f32> {
        self.engine.lock().await.weights.values().to_vec()
    }

    async fn compute<T: Send + 'static>(
        &mut self,
        computation: impl FnOnce(&mut dyn Compute, &Weights) -> Result<T, ComputeError> + Send + 'static,
    ) -> Result<T, Error> {
        let engine = self.engine.clone().lock_owned().await;
        let (engine, result) = self
            .compute_on
            .run(engine, move |engine| {
                let Engine { compute, weights } = &mut **engine;
                match compute {
                    Some(compute) => computation(compute.as_mut(), weights),
                    None => Err(ComputeError("the model was handed on".to_owned())),
                }
            })
            .await?;
        drop(engine);
        Ok(result?)
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

/// How long a worker that must stop may still finish the step in hand.
pub(super) const FINISH_STEP: Duration = Duration::from_secs(2);
