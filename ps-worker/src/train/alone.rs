//! A worker without a master: its own share of the data, its own passes, its own evaluations.
//!
//! The first worker's init creates the shards; worker 0 writes the model at its end.

use super::batches::Batches;
use super::{Error, Preparing, Trainer};
use crate::compute::{Compute, ComputeOn, Evaluation};
use futures_util::future::LocalBoxFuture;
use ps_client::{Client, ClientConfig, discover};
use ps_client::{Counters, Pulse, stay_alive};
use ps_core::ids::{Epoch, Incarnation};
use ps_core::permutation::permutation;
use ps_core::settings::TrainingSettings;
use ps_data::Draw;
use ps_runtime::{Outside, Shutdown};
use std::sync::Arc;
use std::time::Duration;

/// What a worker without a master is told.
#[derive(Clone, Debug)]
pub struct AloneConfig {
    /// The job it belongs to.
    pub job: String,
    /// The servers, in any order.
    pub servers: Vec<String>,
    /// Which of the workers it is.
    pub index: u32,
    /// How many workers share the data; 1 where the data are this worker's own.
    pub sharing: u32,
    /// How to train.
    pub settings: TrainingSettings,
    /// How long one attempt of a call to a server may take.
    pub attempt: Duration,
    /// How long a server may be away.
    pub patience: Duration,
    /// In which life of the worker, and in which epoch, where somebody else speaks to a master for
    /// this process; `None` without a master.
    pub life: Option<(Incarnation, Epoch)>,
    /// How often the servers hear of the worker.
    pub pulse: Pulse,
    /// Where gradients are computed.
    pub compute_on: ComputeOn,
    /// What becomes of the samples before a step.
    pub preparing: Preparing,
}

/// How a worker's own run ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What the process exits with.
    pub exit_code: u8,
    /// The weights at the end, in layout order; `None` when a signal came before there were any.
    pub weights: Option<Vec<f32>>,
    /// How good exactly these weights are, unless a signal ended the run.
    pub evaluation: Option<Evaluation>,
}

/// What happens during a run, for whoever shows it.
pub trait Observer: Send {
    /// A step is done; `done` of `total` samples of this worker are. Whether to go on.
    ///
    /// # Errors
    /// The run has diverged; the message says what to try.
    fn stepped(
        &mut self,
        outcome: &super::StepOutcome,
        done: u64,
        total: u64,
    ) -> Result<(), String>;
    /// A pass is done and evaluated. Whether to go on.
    ///
    /// # Errors
    /// The run has diverged; the message says what to try.
    fn passed(&mut self, pass: u64, evaluation: &Evaluation) -> Result<(), String>;
}

/// Trains this worker's share for all passes.
///
/// # Errors
/// A server is lost or holds another model, the computation failed, or the run has diverged.
pub fn run<'a>(
    config: AloneConfig,
    compute: Box<dyn Compute>,
    counters: Arc<Counters>,
    observer: &'a mut dyn Observer,
    outside: Outside,
    mut shutdown: Shutdown,
) -> LocalBoxFuture<'a, Result<Finished, Error>> {
    // Boxed here, so that it is compiled here, and not once more in every program.
    Box::pin(async move {
        let (incarnation, epoch) = config.life.unwrap_or_else(|| (outside.clock.unix_ms(), 0));
        let mut client = ClientConfig {
            job: config.job.clone(),
            worker: config.index,
            incarnation,
            epoch,
            addresses: config.servers.clone(),
            patience: config.patience,
            attempt: config.attempt,
            wire: config.settings.wire,
        };
        let signalled = shutdown.clone();
        let begin = async {
            client.addresses = discover(&client, &outside).await?;
            let client = Arc::new(Client::new(client, &outside)?);
            let mut trainer = Trainer::new(
                client.clone(),
                compute,
                config.settings.clone(),
                counters.clone(),
                config.compute_on,
                outside.clone(),
            );
            trainer.init().await?;
            Ok::<_, Error>((client, trainer))
        };
        let (client, mut trainer) = tokio::select! {
            biased;
            begun = begin => begun?,
            signal = shutdown.wait() => {
                return Ok(Finished { exit_code: signal.exit_code(), weights: None, evaluation: None });
            }
        };
        let alive = tokio::spawn(stay_alive(client.clone(), counters, outside.clock, config.pulse));
        let trained = train(&config, &mut trainer, observer, &mut shutdown).await;
        // The servers serve on after a signal while a worker is active: the goodbye comes last.
        let last = match trained {
            Ok(Some(evaluation)) => Ok((trainer.weights(), Some(evaluation))),
            Ok(None) => match trainer.read().await {
                Ok(_) => Ok((trainer.weights(), None)),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        alive.abort();
        client.alive(true).await;
        let (weights, evaluation) = last?;
        let exit_code = signalled.signal().map_or(0, |signal| signal.exit_code());
        Ok(Finished { exit_code, weights: Some(weights), evaluation })
    })
}

/// Trains all passes. The evaluation of the weights in hand, or `None` after a signal.
async fn train(
    config: &AloneConfig,
    trainer: &mut Trainer,
    observer: &mut dyn Observer,
    shutdown: &mut Shutdown,
) -> Result<Option<Evaluation>, Error> {
    let settings = &config.settings;
    let samples = trainer.train_samples();
    let sharing = u64::from(config.sharing.max(1));
    let part = u64::from(config.index).min(sharing - 1);
    let share = samples * part / sharing..samples * (part + 1) / sharing;
    let total = (share.end - share.start) * settings.passes;
    let mut done = 0;
    let mut last = None;
    for pass in 0..settings.passes {
        let order = permutation(settings.seed, pass, samples as u32);
        let own = &order[share.start as usize..share.end as usize];
        let draw = Draw { seed: settings.seed, pass, source: 0 };
        let mut batches = Batches::own(&config.preparing, draw, own, settings.batch_size as usize)?;
        while let Some(batch) = batches.next().await? {
            let progress = done as f64 / total.max(1) as f64;
            let following = batches.left().unwrap_or(0);
            let must_stop = shutdown.signal().is_some();
            let acknowledged = async {
                match must_stop {
                    false => trainer.step(batch, progress, following).await,
                    true => trainer.settle().await,
                }
            };
            let acknowledged = tokio::select! {
                biased;
                // The step in hand is finished, and what is under way; none is begun after a signal.
                acknowledged = acknowledged => acknowledged?,
                () = interrupted(shutdown) => {
                    trainer.give_up().await;
                    return Ok(None);
                }
            };
            for outcome in acknowledged {
                done += outcome.samples;
                observer.stepped(&outcome, done, total).map_err(Error::Diverged)?;
            }
            if must_stop {
                return Ok(None);
            }
        }
        let (evaluation, _) = tokio::select! {
            biased;
            evaluated = trainer.evaluate() => evaluated?,
            _ = shutdown.wait() => return Ok(None),
        };
        observer.passed(pass + 1, &evaluation).map_err(Error::Diverged)?;
        last = Some(evaluation);
    }
    Ok(last)
}

async fn interrupted(shutdown: &mut Shutdown) {
    shutdown.wait().await;
    tokio::time::sleep(super::trainer::FINISH_STEP).await;
}
