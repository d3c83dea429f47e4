//! One training step: pull, compute, clip, push. Here and in `exchange` alone client and model meet.

mod exchange;

use super::buffers::Buffers;
use super::pipeline::Pipeline;
use super::{Counters, Error};
use crate::client::{Client, PushReport, Weights};
use crate::compute::{Batch, Compute, ComputeError, ComputeOn, Evaluation};
use ps_core::Layout;
use ps_core::ids::Clock;
use ps_core::limits::PIPELINE_DEPTH_MAX;
use ps_core::settings::TrainingSettings;
use ps_runtime::Outside;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// A model with the weights that it computes on.
struct Engine {
    /// Taken when the trainer ends and another goes on with the model.
    compute: Option<Box<dyn Compute>>,
    /// Not there while the next ones are received in their place.
    weights: Option<Weights>,
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
    pipeline: Pipeline,
    buffers: Buffers,
    /// The next step.
    clock: Clock,
    /// The weights in hand are for the steps below it.
    fresh_until: Clock,
    /// Where the shards have the worker, when that is further.
    lifted_to: Clock,
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
        let mut buffers = Buffers::new(settings.model_spec(&layout, client.shards()));
        let train_samples = compute.train_samples();
        let weights = Some(buffers.take());
        let engine = Arc::new(Mutex::new(Engine { compute: Some(compute), weights }));
        let depth = settings.pipeline_depth.min(PIPELINE_DEPTH_MAX) as u32;
        let pipeline = Pipeline::new(client.clone(), counters.clone(), depth);
        Self {
            client,
            engine,
            layout,
            train_samples,
            settings,
            counters,
            compute_on,
            outside,
            pipeline,
            buffers,
            clock: 0,
            fresh_until: 0,
            lifted_to: 0,
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
    pub async fn into_compute(mut self) -> Option<Box<dyn Compute>> {
        self.give_up().await;
        self.engine.lock().await.compute.take()
    }

    /// Lifts the clock: a joiner, or one that was idle, starts where the others are.
    pub fn start_at(&mut self, clock: Clock) {
        if self.clock < clock {
            self.clock = clock;
            self.fresh_until = 0;
        }
    }

    /// Trains on one batch. `progress` is the share of the job that is done; `following` is how many
    /// steps follow at once, as far as is known: the pushes of the last ones bring no weights.
    ///
    /// Returns the steps that were acknowledged meanwhile, oldest first. Up to the pipeline's depth
    /// of them, this one included, are acknowledged later; when none follows, all are.
    ///
    /// # Errors
    /// The computation failed, the worker was superseded, or a server is away: perhaps in the
    /// exchange of an earlier step.
    pub async fn step(
        &mut self,
        batch: Batch,
        progress: f64,
        following: u64,
    ) -> Result<Vec<StepOutcome>, Error> {
        let begun = self.outside.clock.now();
        self.refresh(following).await?;
        let pulled = self.outside.clock.now();
        let step = self
            .compute(move |compute, weights| compute.gradient(weights.values(), &batch))
            .await?;
        let computed = self.outside.clock.now();
        self.send(step, progress, following).await?;
        let outcomes = if following == 0 { self.settle().await } else { self.make_room().await }?;
        let done = self.outside.clock.now();
        self.counters.spent(computed - pulled, (pulled - begun) + (done - computed));
        self.counters.take_traffic(&self.client);
        Ok(outcomes)
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
        self.fresh_until = 0;
        let weights = engine.weights.get_or_insert_with(|| self.buffers.take());
        self.client.read(weights).await?;
        Ok(weights.digest())
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
        let engine = self.engine.lock().await;
        engine.weights.as_ref().map_or_else(Vec::new, |weights| weights.values().to_vec())
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
                match (compute, weights) {
                    (Some(compute), Some(weights)) => computation(compute.as_mut(), weights),
                    (None, _) => Err(ComputeError("the model was handed on".to_owned())),
                    (_, None) => Err(ComputeError("there are no weights in hand".to_owned())),
                }
            })
            .await?;
        drop(engine);
        Ok(result?)
    }
}

/// How long a worker that must stop may still finish the step in hand.
pub(super) const FINISH_STEP: Duration = Duration::from_secs(2);
