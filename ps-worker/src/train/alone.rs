//! A worker without a master: its own share of the data, its own passes, its own evaluations.
//!
//! The first worker's init creates the shards; worker 0 writes the model at its end.

use super::batch_loop::{StepControl, train_batches};
use super::error::Error;
use super::loader::DataLoader;
use super::sample_numbers::SampleNumbers;
use super::trainer::{Evaluated, FINISH_STEP, Trainer, freeze};
use crate::compute::{Compute, ComputeOn};
use futures_util::future::LocalBoxFuture;
use ps_client::{Counters, Session, SessionConfig, StepOutcome};
use ps_core::SampleOrder;
use ps_core::settings::TrainingSettings;
use ps_data::Draw;
use ps_runtime::{Outside, Shutdown};
use std::sync::Arc;
use std::time::Duration;

/// What a worker without a master is told.
#[derive(Clone)]
pub struct AloneConfig {
    /// Who it is, and where the servers are.
    pub session: SessionConfig,
    /// How many workers share the data; 1 where the data are this worker's own.
    pub sharing: u32,
    /// How to train.
    pub settings: TrainingSettings,
    /// Where gradients are computed.
    pub compute_on: ComputeOn,
    /// What makes batches of the samples.
    pub loader: DataLoader,
}

/// How a worker's own run ended.
#[derive(Clone, Debug)]
pub struct RunResult {
    /// What the process exits with.
    pub exit_code: u8,
    /// The weights at the end, in layout order; `None` when a signal came before there were any.
    pub weights: Option<Vec<f32>>,
    /// How good exactly these weights are, unless a signal ended the run.
    pub evaluation: Option<Evaluated>,
}

/// What happens during a run, for whoever shows it.
pub trait Observer: Send {
    /// A step is done; `done` of `total` samples of this worker are. Whether to go on.
    ///
    /// # Errors
    /// The run has diverged; the message says what to try.
    fn stepped(&mut self, outcome: &StepOutcome, done: u64, total: u64) -> Result<(), String>;
    /// A pass is done and evaluated. Whether to go on.
    ///
    /// # Errors
    /// The run has diverged; the message says what to try.
    fn passed(&mut self, pass: u64, evaluated: &Evaluated) -> Result<(), String>;
}

/// Trains this worker's share for all passes.
///
/// # Errors
/// A server is lost or holds another model, the computation failed, or the run has diverged.
pub fn run<'a>(
    config: AloneConfig,
    mut compute: Box<dyn Compute>,
    counters: Arc<Counters>,
    observer: &'a mut dyn Observer,
    outside: Outside,
    mut shutdown: Shutdown,
) -> LocalBoxFuture<'a, Result<RunResult, Error>> {
    // Boxed here, so that it is compiled here, and not once more in every program.
    Box::pin(async move {
        let begin = async {
            let session = Session::discover(config.session.clone(), counters, outside).await?;
            let settings = config.settings.clone();
            freeze(&mut *compute, &settings)?;
            let mut trainer = Trainer::new(session, compute, settings, config.compute_on);
            trainer.init().await?;
            Ok::<_, Error>(trainer)
        };
        let mut trainer = tokio::select! {
            biased;
            begun = begin => begun?,
            signal = shutdown.wait() => {
                let exit_code = signal.exit_code();
                return Ok(RunResult { exit_code, weights: None, evaluation: None });
            }
        };
        let trained = train(&config, &mut trainer, observer, &shutdown).await;
        // The servers serve on after a signal while a worker is active: the goodbye comes last.
        let last = match trained {
            Ok(Some(evaluation)) => {
                last_weights(&config, &mut trainer, &shutdown, evaluation).await
            }
            Ok(None) => trainer.read().await.map(|_| (trainer.weights(), None)),
            Err(error) => Err(error),
        };
        trainer.leave().await;
        let (weights, evaluation) = last?;
        let exit_code = shutdown.signal().map_or(0, |signal| signal.exit_code());
        Ok(RunResult { exit_code, weights: Some(weights), evaluation })
    })
}

/// How often a worker that is done looks whether the others are.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The weights that are the model, with their evaluation: who writes it waits for the others that share the samples, whose
/// last pushes belong to it. Whose place is of a job with a master does not: that waits for them, and writes the job's model.
async fn last_weights(
    config: &AloneConfig,
    trainer: &mut Trainer,
    shutdown: &Shutdown,
    evaluation: Evaluated,
) -> Result<(Vec<f32>, Option<Evaluated>), Error> {
    let (mut has_waited, mut signals) = (false, shutdown.clone());
    if config.session.worker == 0 && config.session.identity.is_none() && config.sharing > 1 {
        while shutdown.signal().is_none() && trainer.leave_others().await {
            if !std::mem::replace(&mut has_waited, true) {
                tracing::info!("done; the model is written when the other workers are done, too");
            }
            tokio::select! {
                biased;
                _ = signals.wait() => (),
                () = tokio::time::sleep(LOOK_EVERY) => (),
            }
        }
    }
    if !has_waited {
        return Ok((trainer.weights(), Some(evaluation)));
    }
    let evaluation = match shutdown.signal() {
        Some(_) => trainer.read().await.map(|_| None)?,
        None => Some(trainer.evaluate(true).await?.0),
    };
    // Reading made it one of those that are waited for.
    trainer.leave_others().await;
    Ok((trainer.weights(), evaluation))
}

/// Trains all passes. The evaluation of the weights in hand, or `None` after a signal.
async fn train(
    config: &AloneConfig,
    trainer: &mut Trainer,
    observer: &mut dyn Observer,
    shutdown: &Shutdown,
) -> Result<Option<Evaluated>, Error> {
    let settings = &config.settings;
    let samples = trainer.train_samples();
    let sharing = u64::from(config.sharing.max(1));
    let part = u64::from(config.session.worker).min(sharing - 1);
    let share = samples * part / sharing..samples * (part + 1) / sharing;
    let passes = settings.passes_over(samples);
    let total = (share.end - share.start) * passes;
    let mut run = RunProgress { done: 0, total, observer, shutdown };
    let mut last = None;
    for pass in 0..passes {
        let draw = Draw { seed: settings.seed, pass, source: 0 };
        let order = SampleOrder::new(draw.seed, draw.pass, draw.source, samples);
        let batch_size = usize::try_from(settings.batch_size).unwrap_or(usize::MAX);
        let numbers = SampleNumbers::new(order, share.clone(), batch_size);
        let mut batches = config.loader.batches(draw, numbers)?;
        let trained = train_batches(trainer, &mut batches, &mut run);
        let Some(is_done) = in_time(shutdown, trained).await else {
            trainer.give_up().await;
            return Ok(None);
        };
        if !is_done? {
            // The step in hand is finished, now what is under way; none is begun after a signal.
            match in_time(shutdown, trainer.settle()).await {
                Some(steps) => steps?.iter().try_for_each(|step| run.acknowledged(step))?,
                None => trainer.give_up().await,
            }
            return Ok(None);
        }
        let mut signals = shutdown.clone();
        let (evaluation, _) = tokio::select! {
            biased;
            evaluated = trainer.evaluate(pass + 1 == passes) => evaluated?,
            _ = signals.wait() => return Ok(None),
        };
        run.observer.passed(pass + 1, &evaluation).map_err(Error::Diverged)?;
        last = Some(evaluation);
    }
    Ok(last)
}

/// What this gives, unless a signal came and the time to finish a step is over.
async fn in_time<T>(shutdown: &Shutdown, work: impl Future<Output = T>) -> Option<T> {
    let mut signals = shutdown.clone();
    let interrupted = async {
        signals.wait().await;
        tokio::time::sleep(FINISH_STEP).await;
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = interrupted => None,
    }
}

/// How far the run is.
struct RunProgress<'a> {
    /// Samples of this worker.
    done: u64,
    total: u64,
    observer: &'a mut dyn Observer,
    shutdown: &'a Shutdown,
}

impl StepControl for RunProgress<'_> {
    fn progress(&self) -> Option<f64> {
        let progress = self.done as f64 / self.total.max(1) as f64;
        self.shutdown.signal().is_none().then_some(progress)
    }

    fn acknowledged(&mut self, step: &StepOutcome) -> Result<(), Error> {
        self.done += step.samples;
        self.observer.stepped(step, self.done, self.total).map_err(Error::Diverged)
    }
}
