//! Work on one lease.

use super::batches::Batches;
use super::heart::Watcher;
use super::managed::Life;
use super::served::{Served, Source};
use super::trainer::FINISH_STEP;
use super::workload::{ProgramRun, StreamPass};
use super::{Error, StepOutcome};
use crate::compute::ComputeError;
use ps_data::Draw;
use ps_proto::v1;
use ps_runtime::link::{Link, Patience};
use std::sync::Arc;

impl Life {
    /// Works on a lease. `None`: it was not finished, because the master wants no more steps or the
    /// samples cannot be had.
    pub(super) async fn train(
        &mut self,
        task: v1::TrainTask,
    ) -> Result<Option<v1::LeaseResult>, Error> {
        if self.kept.program.is_some() {
            return self.run_program(&task).await;
        }
        let watcher = self.heart.watcher();
        let must_stop = async {
            watcher.stopped().await;
            tokio::time::sleep(FINISH_STEP).await;
        };
        let trained = tokio::select! {
            biased;
            trained = self.train_and_settle(&task, &watcher) => trained,
            () = must_stop => Ok(None),
        };
        if let (Ok(None) | Err(_), Some(trainer)) = (&trained, self.trainer.as_mut()) {
            trainer.give_up().await;
        }
        match trained {
            Err(error @ Error::Unserved { .. }) => {
                tracing::warn!("{error}; the lease on them is given back");
                self.serving = None;
                Ok(None)
            }
            trained => trained,
        }
    }

    async fn train_and_settle(
        &mut self,
        task: &v1::TrainTask,
        watcher: &Watcher,
    ) -> Result<Option<v1::LeaseResult>, Error> {
        let trained = self.train_batches(task, watcher).await;
        // Whoever has no samples has servers, and pushes that they may still acknowledge.
        if let (Ok(None) | Err(Error::Unserved { .. }), Some(trainer)) =
            (&trained, self.trainer.as_mut())
        {
            trainer.settle().await?;
        }
        trained
    }

    async fn train_batches(
        &mut self,
        task: &v1::TrainTask,
        watcher: &Watcher,
    ) -> Result<Option<v1::LeaseResult>, Error> {
        let mut result = v1::LeaseResult { lease: task.lease, ..v1::LeaseResult::default() };
        let granted = task.progress.unwrap_or_default();
        let mut batches = self.batches(task).await?;
        let Some(trainer) = self.trainer.as_mut() else {
            return Ok(None);
        };
        trainer.start_at(task.start_clock);
        let mut next = batches.next().await;
        while let Some(batch) = next? {
            let word = watcher.word();
            if word.stop {
                return Ok(None);
            }
            let progress = share(&word.progress).max(share(&granted));
            // What is wrong with the next batch does not cost the step on this one.
            next = batches.next().await;
            let following = match next {
                Ok(Some(_)) => batches.left().map_or(u64::MAX, |left| left + 1),
                Ok(None) | Err(_) => 0,
            };
            let steps = trainer.step(batch, progress, following).await?;
            steps.iter().for_each(|step| add(&mut result, step));
        }
        Ok(Some(result))
    }

    async fn batches(&mut self, task: &v1::TrainTask) -> Result<Batches, Error> {
        let batch_size = usize::try_from(self.settings.batch_size).unwrap_or(usize::MAX).max(1);
        if task.whole {
            let registered = self.member.registered();
            let pass = StreamPass {
                pass: task.pass,
                rank: registered.index,
                workers: registered.workers,
                batch_size,
                seed: self.settings.seed,
                data: self.agreed.clone(),
            };
            let none = || ComputeError("the master leases a stream, and there is none".to_owned());
            let streams = self.kept.streams.as_mut().ok_or_else(none)?;
            return Ok(Batches::Stream(streams.open(&pass).await?));
        }
        let samples = self.orders.lease(task);
        let draw = Draw { seed: self.settings.seed, pass: task.pass, source: task.source };
        if task.served_at.is_empty() {
            return Batches::own(&self.kept.preparing, draw, &samples, batch_size);
        }
        let batches = samples.chunks(batch_size).map(<[u32]>::to_vec).collect();
        Ok(Batches::Served(Served::start(self.source(&task.served_at, draw)?, batches)))
    }

    /// Who serves samples at this address.
    fn source(&mut self, address: &str, draw: Draw) -> Result<Source, Error> {
        let known = self.serving.take().filter(|link| link.address() == address);
        let link = match known {
            Some(link) => link,
            None => {
                let outside = &self.outside;
                let link = Link::new(&outside.connector, address, &outside.clock, outside.seed);
                let unserved = |error| Error::Unserved {
                    address: address.to_owned(),
                    message: format!("{error}"),
                };
                Arc::new(link.map_err(unserved)?)
            }
        };
        self.serving = Some(link.clone());
        let size = |size: &u64| usize::try_from(*size).unwrap_or(usize::MAX);
        let shape: Vec<usize> = self.agreed.shape.iter().map(size).collect();
        Ok(Source {
            job: self.config.job.clone(),
            link,
            patience: Patience {
                attempt: self.config.attempt,
                // By then the master knows whether the evaluator lives.
                total: self.config.patience.min(self.member.lease()),
                waits: false,
            },
            inputs: shape.iter().fold(1, |inputs: usize, size| inputs.saturating_mul(*size)),
            // Who serves them does not move them: it knows nothing of passes.
            shift: self.kept.preparing.shift(&shape, draw)?,
            classes: self.agreed.classes,
        })
    }

    async fn run_program(
        &mut self,
        task: &v1::TrainTask,
    ) -> Result<Option<v1::LeaseResult>, Error> {
        let registered = self.member.registered();
        let watcher = self.heart.watcher();
        let run = ProgramRun {
            job: self.config.job.clone(),
            master: self.config.master.clone(),
            rank: registered.index,
            workers: registered.workers,
            incarnation: registered.incarnation,
            shard_map: self.shard_map.clone(),
            settings: self.settings.clone(),
            start_clock: task.start_clock,
            stop: Box::pin(async move { watcher.stopped().await }),
        };
        let Some(program) = self.kept.program.as_mut() else {
            return Ok(None);
        };
        let code = program.run(run).await?;
        match code {
            // It was told to end before it was done, and the master says what this process ends with.
            _ if self.heart.watcher().word().stop => Ok(None),
            0 => Ok(Some(v1::LeaseResult { lease: task.lease, ..v1::LeaseResult::default() })),
            code => Err(Error::Program(code)),
        }
    }
}

/// How far the job is, from 0 to 1.
fn share(progress: &v1::JobProgress) -> f64 {
    progress.samples_done as f64 / progress.samples_total.max(1) as f64
}

fn add(result: &mut v1::LeaseResult, step: &StepOutcome) {
    result.steps += 1;
    result.samples += step.samples;
    if step.loss.is_finite() {
        result.loss_sum += step.loss * step.samples as f64;
        result.loss_samples += step.samples;
    } else {
        result.steps_not_finite += 1;
    }
}
