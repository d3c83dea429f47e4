//! One training step: pull, compute, clip, push. Here and in `exchange` alone session and model meet.

mod evaluation;
mod exchange;
mod gradient_writer;

use super::batches::Batches;
use super::error::Error;
use crate::compute::{Compute, ComputeError, ComputeOn, SampleBatch};
pub use evaluation::Evaluated;
use gradient_writer::GradientWriter;
use ps_client::{BufferPool, Pipeline, Session, StepOutcome, Waiting, Weights, WeightsPool};
use ps_core::Layout;
use ps_core::ids::Clock;
use ps_core::limits::PIPELINE_DEPTH_MAX;
use ps_core::settings::TrainingSettings;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, oneshot};

/// Freezes what the settings say.
///
/// # Errors
/// They name parameters that the model has not, or leave none to train.
pub(super) fn freeze(compute: &mut dyn Compute, settings: &TrainingSettings) -> Result<(), Error> {
    let frozen = settings.frozen(compute.layout())?;
    Ok(compute.freeze(&frozen)?)
}

/// Trains one model against one set of servers.
pub struct Trainer {
    session: Session,
    /// Locked while it computes, on a thread that goes on when the step is given up: whoever comes
    /// next waits for it, and the model is not lost. Taken when another trainer goes on with it.
    compute: Arc<Mutex<Option<Box<dyn Compute>>>>,
    /// Not there while the next ones are received in their place, or the model takes them.
    weights: Option<Weights>,
    /// Buffers of gradients that have arrived.
    buffer_pool: BufferPool,
    layout: Arc<Layout>,
    train_samples: u64,
    settings: TrainingSettings,
    compute_on: ComputeOn,
    pipeline: Pipeline,
    weights_pool: WeightsPool,
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
        session: Session,
        compute: Box<dyn Compute>,
        settings: TrainingSettings,
        compute_on: ComputeOn,
    ) -> Self {
        let layout = Arc::new(compute.layout().clone());
        let spec = session.model_spec(&settings, &layout);
        let mut weights_pool = WeightsPool::new(spec);
        let train_samples = compute.train_samples();
        let weights = Some(weights_pool.take());
        let depth = settings.pipeline_depth.min(PIPELINE_DEPTH_MAX) as u32;
        // A push that leaves while its gradient is computed goes on beside it, too.
        let is_spawned = depth > 0 || compute_on == ComputeOn::Thread;
        Self {
            pipeline: session.pipeline(depth, is_spawned),
            session,
            compute: Arc::new(Mutex::new(Some(compute))),
            weights,
            buffer_pool: BufferPool::default(),
            layout,
            train_samples,
            settings,
            compute_on,
            weights_pool,
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
        let start = self.compute(move |compute| compute.start_weights(seed)).await?;
        let spec = self.session.model_spec(&self.settings, &self.layout);
        Ok(self.session.init(&spec, start).await?)
    }

    /// Checks that the servers hold this model, if they hold one: for who never creates it.
    ///
    /// # Errors
    /// The servers hold another model, or are away.
    pub async fn check_model(&self) -> Result<(), Error> {
        let spec = self.session.model_spec(&self.settings, &self.layout);
        Ok(self.session.client().check_model(&spec).await?)
    }

    /// The model, for another trainer; waits for a computation that was given up.
    pub async fn into_compute(mut self) -> Option<Box<dyn Compute>> {
        self.give_up().await;
        self.compute.lock().await.take()
    }

    /// Without a master: tells the servers that the worker leaves.
    pub async fn leave(&mut self) {
        self.session.leave().await;
    }

    /// Without a master: leaves, and says whether other workers are at work still.
    pub async fn leave_others(&mut self) -> bool {
        self.session.leave_others().await
    }

    /// Lifts the clock: a joiner, or one that was idle, starts where the others are.
    pub fn start_at(&mut self, clock: Clock) {
        if self.clock < clock {
            self.clock = clock;
            self.fresh_until = 0;
        }
    }

    /// The next batch. Who waits for a stream waits for others, not for itself: it is not stuck.
    pub(super) async fn next_batch(
        &self,
        batches: &mut Batches,
    ) -> Result<Option<SampleBatch>, Error> {
        let _waiting = batches.is_stream().then(|| Waiting::new(self.session.counters()));
        batches.next().await
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
        batch: SampleBatch,
        progress: f64,
        following: u64,
    ) -> Result<Vec<StepOutcome>, Error> {
        let begun = self.session.now();
        self.refresh(following).await?;
        let pulled = self.session.now();
        self.compute_and_send(batch, progress, following).await?;
        let computed = self.session.now();
        let outcomes =
            if following == 0 { self.settle().await } else { self.await_capacity().await }?;
        let done = self.session.now();
        self.session.counters().spent(computed - pulled, (pulled - begun) + (done - computed));
        self.session.counters().take_traffic(self.session.client().traffic());
        Ok(outcomes)
    }

    /// Computes a gradient, and begins to send it as soon as a part of it is there: unless it must be
    /// complete, because its norm is clipped or an encoding leaves a part of it out.
    async fn compute_and_send(
        &mut self,
        batch: SampleBatch,
        progress: f64,
        following: u64,
    ) -> Result<(), Error> {
        let weights = self.weights.take().unwrap_or_else(|| self.weights_pool.take());
        let (seed, layout, pool) = (self.draw(), self.layout.clone(), self.buffer_pool.clone());
        let (start, mut has_started) = oneshot::channel();
        let mut computing = std::pin::pin!(self.compute(move |compute| {
            compute.load(weights.values())?;
            compute.gradient(
                batch,
                seed,
                Box::new(GradientWriter::new(layout, pool, weights, start)),
            )
        }));
        let sends_early = self.settings.clip_norm.is_none() && self.session.client().sends_early();
        tokio::select! {
            biased;
            Ok(started) = &mut has_started, if sends_early => {
                self.send(started, progress, following).await;
                computing.await
            }
            computed = &mut computing => {
                computed?;
                let none = |_| ComputeError("a step without a gradient".to_owned());
                let mut started = has_started.try_recv().map_err(none)?;
                if let Some(norm_max) = self.settings.clip_norm {
                    started.gradient = started.gradient.clip(norm_max);
                }
                self.send(started, progress, following).await;
                Ok(())
            }
        }
    }

    /// A seed for what is drawn at random in the next step: another one in each step of each worker.
    fn draw(&self) -> u64 {
        let mut bits = self.settings.seed;
        for part in [u64::from(self.session.client().worker()), self.clock] {
            // The finisher of splitmix64 (Steele et al., 2014).
            bits = (bits ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bits ^= bits >> 31;
        }
        bits
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
        self.fresh_until = 0;
        let weights = self.weights.get_or_insert_with(|| self.weights_pool.take());
        self.session.client().read(weights).await?;
        Ok(weights.digest())
    }

    /// The weights in hand, in layout order.
    pub fn weights(&self) -> Vec<f32> {
        self.weights.as_ref().map_or_else(Vec::new, |weights| weights.values().to_vec())
    }

    /// Runs a computation of the model; it does not borrow the trainer.
    fn compute<T: Send + 'static, C>(
        &self,
        computation: C,
    ) -> impl Future<Output = Result<T, Error>> + use<T, C>
    where
        C: FnOnce(&mut dyn Compute) -> Result<T, ComputeError> + Send + 'static,
    {
        let (compute, compute_on) = (self.compute.clone(), self.compute_on);
        async move {
            let compute = compute.lock_owned().await;
            let run = compute_on.run(compute, move |compute| match compute.as_mut() {
                Some(compute) => computation(compute.as_mut()),
                None => Err(ComputeError("the model was handed on".to_owned())),
            });
            let (_, result) = run.await?;
            Ok(result?)
        }
    }
}

/// How long a worker that must stop may still finish the step in hand.
pub(super) const FINISH_STEP: Duration = Duration::from_secs(2);
