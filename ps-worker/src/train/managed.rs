//! A worker or evaluator with a master: asks for work, does it, reports it.

use super::heart::{End, Heart};
use super::trainer::{FINISH_STEP, Trainer};
use super::{Counters, Error, WorkerConfig};
use crate::client::{self, Client, ClientConfig};
use crate::compute::Compute;
use ps_core::permutation::permutation;
use ps_core::settings::TrainingSettings;
use ps_proto::v1;
use ps_proto::v1::next_task_reply::Task;
use ps_runtime::member::{self, Member};
use ps_runtime::{Outside, Shutdown};
use std::sync::Arc;
use std::time::Duration;

/// After a signal a worker waits for the master to save and let it go, at most this long.
const WAIT_AFTER_SIGNAL: Duration = Duration::from_secs(8);

pub(super) async fn run(
    config: WorkerConfig,
    compute: Box<dyn Compute>,
    counters: Arc<Counters>,
    outside: Outside,
    mut shutdown: Shutdown,
) -> Result<u8, Error> {
    let mut compute = Some(compute);
    let mut token = outside.seed;
    loop {
        let Some(model) = compute.take() else { return Err(member::Error::Expired.into()) };
        let view = shutdown.clone();
        let mut life = tokio::select! {
            biased;
            life = Life::begin(&config, model, &outside, &counters, &view, token) => life?,
            signal = shutdown.wait() => return Ok(signal.exit_code()),
        };
        match life.live(&mut shutdown).await? {
            Some(code) => return Ok(code),
            None => tracing::warn!("the lease with the master expired; registering anew"),
        }
        compute = match life.trainer.take() {
            Some(trainer) => trainer.into_compute().await,
            None => life.compute.take(),
        };
        token = token.wrapping_add(1);
    }
}

/// One membership, from registration to its end.
struct Life {
    config: WorkerConfig,
    member: Arc<Member>,
    heart: Heart,
    outside: Outside,
    counters: Arc<Counters>,
    trainer: Option<Trainer>,
    compute: Option<Box<dyn Compute>>,
    settings: TrainingSettings,
    order: Order,
}

/// The order of the samples in the pass that the worker is in.
struct Order {
    seed: u64,
    samples: u64,
    pass: Option<u64>,
    positions: Vec<u32>,
}

impl Order {
    fn of(&mut self, pass: u64) -> &[u32] {
        if self.pass != Some(pass) {
            self.positions = permutation(self.seed, pass, self.samples as u32);
            self.pass = Some(pass);
        }
        &self.positions
    }
}

impl Life {
    async fn begin(
        config: &WorkerConfig,
        compute: Box<dyn Compute>,
        outside: &Outside,
        counters: &Arc<Counters>,
        shutdown: &Shutdown,
        token: u64,
    ) -> Result<Self, Error> {
        let request = v1::RegisterRequest {
            job: config.job.clone(),
            role: config.role.into(),
            token,
            index: config.index,
            address: config.address.clone(),
            train_samples: compute.train_samples(),
            epoch: 0,
        };
        let member = Arc::new(Member::register(outside, &config.master, request).await?);
        let registered = member.registered();
        let settings = registered.settings.clone().unwrap_or_default();
        let settings = TrainingSettings::try_from(settings)?;
        tracing::info!(
            "registered with the master at {} as {} {}, incarnation {}",
            config.master,
            role_name(config.role),
            registered.index,
            registered.incarnation
        );
        counters.begin_life();
        let order = Order {
            seed: settings.seed,
            samples: compute.train_samples(),
            pass: None,
            positions: Vec::new(),
        };
        let heart = Heart::start(member.clone(), counters.clone(), shutdown.clone());
        Ok(Self {
            config: config.clone(),
            member,
            heart,
            outside: outside.clone(),
            counters: counters.clone(),
            trainer: None,
            compute: Some(compute),
            settings,
            order,
        })
    }

    /// Works until the membership ends. `None`: register anew.
    async fn live(&mut self, shutdown: &mut Shutdown) -> Result<Option<u8>, Error> {
        let word = self.heart.watcher();
        let signalled = async {
            let signal = shutdown.wait().await;
            tokio::time::sleep(WAIT_AFTER_SIGNAL).await;
            signal.exit_code()
        };
        let end = tokio::select! {
           biased;
            end = word.ended() => end,
            code = signalled => return Ok(Some(code)),
            error = self.work() => match error {
                Error::Client(client::Error::Superseded { .. })
                | Error::Member(member::Error::Expired) => End::Expired,
                // The master knows nothing of a model that cannot be computed.
                error @ Error::Compute(_) => return Err(error),
                error => self.explain(error).await?,
            },
        };
        end.exit_code()
    }

    /// The master knows best why a server is gone: it says so within the lease.
    async fn explain(&self, error: Error) -> Result<End, Error> {
        let grace = self.member.lease() * 2;
        match tokio::time::timeout(grace, self.heart.watcher().ended()).await {
            Ok(end @ End::Leave(_)) => Ok(end),
            _ => Err(error),
        }
    }

    /// Asks for tasks and does them; ends only with an error.
    async fn work(&mut self) -> Error {
        match self.try_work().await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn try_work(&mut self) -> Result<std::convert::Infallible, Error> {
        self.connect().await?;
        let mut request = v1::NextTaskRequest::default();
        loop {
            request.number += 1;
            let task = self.member.next_task(request.clone()).await?.task;
            let was_working = request.finished.is_some();
            (request.finished, request.evaluated) = (None, None);
            match task {
                Some(Task::Train(task)) => request.finished = self.train(task).await?,
                Some(Task::Evaluate(task)) => request.evaluated = Some(self.evaluate(task).await?),
                Some(Task::Wait(wait)) => {
                    if was_working {
                        self.heart.beat_now();
                    }
                    tokio::time::sleep(Duration::from_millis(wait.milliseconds.max(1))).await;
                }
                None => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn connect(&mut self) -> Result<(), Error> {
        let map = self.heart.watcher().shard_map().await;
        let registered = self.member.registered();
        let client = Client::new(
            ClientConfig {
                job: self.config.job.clone(),
                worker: registered.index,
                incarnation: registered.incarnation,
                epoch: map.epoch,
                addresses: map.addresses,
                patience: self.config.patience,
                attempt: self.config.attempt,
            },
            &self.outside,
        )?;
        let Some(compute) = self.compute.take() else {
            return Ok(());
        };
        let trainer = self.trainer.insert(Trainer::new(
            Arc::new(client),
            compute,
            self.settings.clone(),
            self.counters.clone(),
            self.config.compute_on,
            self.outside.clone(),
        ));
        match self.config.role {
            v1::Role::Worker => trainer.init().await,
            _ => Ok(()),
        }
    }

    /// Trains on a lease. `None`: it was not finished, because the master wants no more steps.
    async fn train(&mut self, task: v1::TrainTask) -> Result<Option<v1::LeaseResult>, Error> {
        let mut result = v1::LeaseResult { lease: task.lease, ..v1::LeaseResult::default() };
        let granted = task.progress.unwrap_or_default();
        let samples = self.order.of(task.pass);
        let (start, end) = (task.start as usize, task.end as usize);
        let lease: Vec<u64> = samples
            .get(start..end)
            .unwrap_or_default()
            .iter()
            .map(|&sample| u64::from(sample))
            .collect();
        let batches: Vec<Vec<u64>> =
            lease.chunks(self.settings.batch_size as usize).map(<[u64]>::to_vec).collect();
        let Some(trainer) = self.trainer.as_mut() else {
            return Ok(None);
        };
        trainer.start_at(task.start_clock).await;
        let last = batches.len().saturating_sub(1);
        let watcher = self.heart.watcher();
        for (number, batch) in batches.into_iter().enumerate() {
            let word = watcher.word();
            if word.stop {
                return Ok(None);
            }
            let done = word.progress.samples_done.max(granted.samples_done);
            let progress = done as f64 / granted.samples_total.max(1) as f64;
            let must_stop = async {
                watcher.stopped().await;
                tokio::time::sleep(FINISH_STEP).await;
            };
            tokio::select! {
                biased;
                step = trainer.step(batch, progress, number < last) => add(&mut result, &step?),
                () = must_stop => return Ok(None),
            }
        }
        Ok(Some(result))
    }

    async fn evaluate(&mut self, task: v1::EvaluateTask) -> Result<v1::EvaluationResult, Error> {
        let mut result = v1::EvaluationResult {
            pass: task.pass,
            r#final: task.r#final,
            ..v1::EvaluationResult::default()
        };
        let Some(trainer) = self.trainer.as_mut() else {
            return Ok(result);
        };
        match trainer.evaluate().await {
            Ok((evaluation, digest)) => {
                result.loss = evaluation.loss;
                result.accuracy = evaluation.accuracy;
                result.samples = evaluation.samples;
                result.weights_digest = digest;
            }
            Err(Error::Compute(error)) => result.error = error.to_string(),
            Err(error) => return Err(error),
        }
        Ok(result)
    }
}

fn add(result: &mut v1::LeaseResult, step: &super::StepOutcome) {
    result.steps += 1;
    result.samples += step.samples;
    if step.loss.is_finite() {
        result.loss_sum += step.loss * step.samples as f64;
        result.loss_samples += step.samples;
    } else {
        result.steps_not_finite += 1;
    }
}

fn role_name(role: v1::Role) -> &'static str {
    match role {
        v1::Role::Worker => "worker",
        v1::Role::Evaluator => "evaluator",
        v1::Role::Server | v1::Role::Unspecified => "member",
    }
}
