//! Work on one lease.

use super::JobMember;
use crate::compute::ComputeError;
use crate::train::batch_loop::{StepControl, train_batches};
use crate::train::batches::{Batches, StreamPass};
use crate::train::error::Error;
use crate::train::prefetcher::Prefetcher;
use crate::train::sample_client::SampleClient;
use crate::train::sample_numbers::SampleNumbers;
use crate::train::trainer::FINISH_STEP;
use crate::train::workload::{ModelWorkload, ProgramRun, WorkloadKind};
use ps_client::environment::Resumed;
use ps_client::{JobWatch, StepOutcome, WorkerEnvironment};
use ps_core::SampleOrder;
use ps_data::Draw;
use ps_proto::v1;
use ps_runtime::link::{Link, Patience};
use std::sync::Arc;

impl JobMember {
    /// Works on a lease. `None`: it was not finished, because the master wants no more steps or the
    /// samples cannot be had.
    pub(super) async fn train(
        &mut self,
        task: v1::TrainTask,
    ) -> Result<Option<v1::LeaseResult>, Error> {
        if let WorkloadKind::Program(_) = &self.workload.kind {
            return self.run_program(&task).await;
        }
        let job = self.membership.watch();
        let must_stop = async {
            job.stopped().await;
            tokio::time::sleep(FINISH_STEP).await;
        };
        let trained = tokio::select! {
            biased;
            trained = self.train_and_settle(&task, &job) => trained,
            () = must_stop => Ok(None),
        };
        if let (Ok(None) | Err(_), Some(trainer)) = (&trained, self.trainer.as_mut()) {
            trainer.give_up().await;
        }
        match trained {
            Err(error @ Error::Unserved { .. }) => {
                tracing::warn!("{error}; the lease on them is given back");
                self.sample_link = None;
                Ok(None)
            }
            trained => trained,
        }
    }

    async fn train_and_settle(
        &mut self,
        task: &v1::TrainTask,
        job: &JobWatch,
    ) -> Result<Option<v1::LeaseResult>, Error> {
        let trained = self.train_lease(task, job).await;
        // Whoever has no samples has servers, and pushes that they may still acknowledge.
        if let (Ok(None) | Err(Error::Unserved { .. }), Some(trainer)) =
            (&trained, self.trainer.as_mut())
        {
            trainer.settle().await?;
        }
        trained
    }

    async fn train_lease(
        &mut self,
        task: &v1::TrainTask,
        job: &JobWatch,
    ) -> Result<Option<v1::LeaseResult>, Error> {
        let mut batches = self.batches(task).await?;
        let Some(trainer) = self.trainer.as_mut() else {
            return Ok(None);
        };
        trainer.start_at(task.start_clock);
        let result = v1::LeaseResult { lease: task.lease, ..v1::LeaseResult::default() };
        let granted = fraction_done(&task.progress.unwrap_or_default());
        let mut lease = LeaseProgress { job, granted, result };
        let is_done = train_batches(trainer, &mut batches, &mut lease).await?;
        Ok(is_done.then_some(lease.result))
    }

    async fn batches(&mut self, task: &v1::TrainTask) -> Result<Batches, Error> {
        let batch_size = usize::try_from(self.settings.batch_size).unwrap_or(usize::MAX).max(1);
        if task.whole {
            let registered = self.membership.member().registered();
            let pass = StreamPass {
                pass: task.pass,
                rank: registered.index,
                workers: registered.workers,
                batch_size,
                seed: self.settings.seed,
                data: self.data.clone(),
            };
            let none = || ComputeError("the master leases a stream, and there is none".to_owned());
            let streams = self.model()?.streams.as_mut().ok_or_else(none)?;
            return Ok(Batches::Stream(streams.open(&pass).await?));
        }
        let draw = Draw { seed: self.settings.seed, pass: task.pass, source: task.source };
        let order = SampleOrder::new(draw.seed, draw.pass, draw.source, task.source_samples);
        let numbers = SampleNumbers::new(order, task.start..task.end, batch_size);
        if task.served_at.is_empty() {
            return self.model()?.loader.batches(draw, numbers);
        }
        let client = self.sample_client(&task.served_at, draw)?;
        Ok(Batches::Prefetched(Prefetcher::fetch(client, numbers)))
    }

    fn model(&mut self) -> Result<&mut ModelWorkload, ComputeError> {
        match &mut self.workload.kind {
            WorkloadKind::Model(model) => Ok(model),
            WorkloadKind::Program(_) => Err(ComputeError("a program has no batches".to_owned())),
        }
    }

    /// A client of the process that serves samples at this address.
    fn sample_client(&mut self, address: &str, draw: Draw) -> Result<SampleClient, Error> {
        let known = self.sample_link.take().filter(|link| link.address() == address);
        let link = match known {
            Some(link) => link,
            None => {
                let outside = &self.outside;
                let link = Link::new(&outside.connector, address, &outside.clock, outside.seed);
                let (address, message) = (address.to_owned(), |error| format!("{error}"));
                Arc::new(
                    link.map_err(|error| Error::Unserved { address, message: message(error) })?,
                )
            }
        };
        self.sample_link = Some(link.clone());
        let size = |size: &u64| usize::try_from(*size).unwrap_or(usize::MAX);
        let shape: Vec<usize> = self.data.shape.iter().map(size).collect();
        Ok(SampleClient {
            job: self.config.job.clone(),
            link,
            patience: Patience {
                attempt: self.config.attempt,
                // By then the master knows whether the evaluator lives.
                total: self.config.patience.min(self.membership.member().lease()),
            },
            inputs: shape.iter().fold(1, |inputs: usize, size| inputs.saturating_mul(*size)),
            ids: self.data.ids.clone(),
            // Who serves them does not move them: it knows nothing of passes.
            shift: self.model()?.loader.shift(&shape, draw)?,
            task: self.data.task,
            outputs: self.data.outputs,
        })
    }

    async fn run_program(
        &mut self,
        task: &v1::TrainTask,
    ) -> Result<Option<v1::LeaseResult>, Error> {
        let registered = self.membership.member().registered();
        let shard_map = self.membership.shard_map().current();
        let environment = WorkerEnvironment {
            job: self.config.job.clone(),
            servers: shard_map.addresses,
            worker: registered.index,
            workers: registered.workers,
            incarnation: registered.incarnation,
            epoch: shard_map.epoch,
            master: Some(self.config.master.clone()),
            resumed: resumed(task),
        };
        let job = self.membership.watch();
        let (stop, settings) = (job.clone(), self.settings.clone());
        let stop = Box::pin(async move { stop.stopped().await });
        let run = ProgramRun { environment, settings, stop };
        let WorkloadKind::Program(program) = &mut self.workload.kind else {
            return Ok(None);
        };
        match program.run(run).await? {
            // It was told to end before it was done, and the master says what this process ends with.
            _ if job.must_stop() => Ok(None),
            0 => Ok(Some(v1::LeaseResult { lease: task.lease, ..v1::LeaseResult::default() })),
            code => Err(Error::Program(code)),
        }
    }
}

/// Where the job is whose program begins now.
fn resumed(task: &v1::TrainTask) -> Option<Resumed> {
    let checkpoint = (task.checkpoint > 0).then_some(task.checkpoint);
    let is_beginning = task.pass == 0 && checkpoint.is_none();
    (!is_beginning).then_some(Resumed { pass: task.pass, checkpoint })
}

/// Work on one lease, as the master hears of it.
struct LeaseProgress<'a> {
    job: &'a JobWatch,
    /// How far the job was when the lease was granted.
    granted: f64,
    result: v1::LeaseResult,
}

impl StepControl for LeaseProgress<'_> {
    fn progress(&self) -> Option<f64> {
        let progress = fraction_done(&self.job.progress()).max(self.granted);
        (!self.job.must_stop()).then_some(progress)
    }

    fn acknowledged(&mut self, step: &StepOutcome) -> Result<(), Error> {
        let result = &mut self.result;
        result.steps += 1;
        result.samples += step.samples;
        if step.loss.is_finite() {
            result.loss_sum += step.loss * step.samples as f64;
            result.loss_samples += step.samples;
            result.loss_first.get_or_insert(step.loss);
            let highest = result.loss_highest.get_or_insert(step.loss);
            *highest = highest.max(step.loss);
        } else {
            result.steps_not_finite += 1;
        }
        Ok(())
    }
}

/// How far a job is, from 0 to 1.
fn fraction_done(progress: &v1::JobProgress) -> f64 {
    progress.samples_done as f64 / progress.samples_total.max(1) as f64
}
