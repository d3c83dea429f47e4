//! A worker or evaluator with a master: asks for work, does it, reports it.

use super::heart::{End, Heart};
use super::kept::Kept;
use super::order::Orders;
use super::trainer::Trainer;
use super::workload::Workload;
use super::{Counters, Error, WorkerConfig};
use ps_client::{Client, ClientConfig};
use ps_core::settings::TrainingSettings;
use ps_core::{DataDescription, DataKind};
use ps_proto::convert::settings::settings_from_wire;
use ps_proto::v1;
use ps_proto::v1::next_task_reply::Task;
use ps_runtime::link::Link;
use ps_runtime::member::{self, Member};
use ps_runtime::{Outside, Shutdown};
use std::sync::Arc;
use std::time::Duration;

/// After a signal a worker waits for the master to save and let it go, at most this long.
const WAIT_AFTER_SIGNAL: Duration = Duration::from_secs(8);

pub(super) async fn run(
    mut config: WorkerConfig,
    workload: Workload,
    counters: Arc<Counters>,
    outside: Outside,
    mut shutdown: Shutdown,
) -> Result<u8, Error> {
    let mut kept = Kept::new(workload);
    let mut token = outside.seed;
    loop {
        let view = shutdown.clone();
        let mut life = tokio::select! {
            biased;
            life = Life::begin(&config, kept, &outside, &counters, &view, token) => life?,
            signal = shutdown.wait() => return Ok(signal.exit_code()),
        };
        match life.live(&mut shutdown).await? {
            Some(code) => return Ok(code),
            None => tracing::warn!("the lease with the master expired; registering anew"),
        }
        if life.kept.data.kind != DataKind::Replicated && config.role == v1::Role::Worker {
            // Another rank has other samples.
            config.index = Some(life.member.registered().index);
        }
        kept = life.end().await;
        token = token.wrapping_add(1);
    }
}

/// One membership, from registration to its end.
pub(super) struct Life {
    pub(super) config: WorkerConfig,
    pub(super) member: Arc<Member>,
    pub(super) heart: Heart,
    pub(super) outside: Outside,
    pub(super) counters: Arc<Counters>,
    pub(super) trainer: Option<Trainer>,
    pub(super) kept: Kept,
    pub(super) settings: TrainingSettings,
    pub(super) orders: Orders,
    /// What the members have together, once it is known.
    pub(super) agreed: DataDescription,
    pub(super) shard_map: v1::ShardMap,
    /// To who serves samples.
    pub(super) serving: Option<Arc<Link>>,
}

impl Life {
    async fn begin(
        config: &WorkerConfig,
        kept: Kept,
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
            data: Some(kept.data.clone().into()),
            epoch: 0,
        };
        let member = Arc::new(Member::register(outside, &config.master, request).await?);
        let registered = member.registered();
        let settings = settings_from_wire(&registered.settings)?;
        tracing::info!(
            "registered with the master at {} as {} {}, incarnation {}",
            config.master,
            role_name(config.role),
            registered.index,
            registered.incarnation
        );
        counters.begin_life();
        let heart = Heart::start(member.clone(), counters.clone(), shutdown.clone());
        Ok(Self {
            config: config.clone(),
            member,
            heart,
            outside: outside.clone(),
            counters: counters.clone(),
            trainer: None,
            kept,
            orders: Orders::new(settings.seed),
            settings,
            agreed: DataDescription::default(),
            shard_map: v1::ShardMap::default(),
            serving: None,
        })
    }

    /// What the next life goes on with.
    async fn end(mut self) -> Kept {
        if let Some(trainer) = self.trainer.take() {
            self.kept.compute = trainer.into_compute().await;
        }
        self.kept
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
                Error::Client(ps_client::Error::Superseded { .. })
                | Error::Member(member::Error::Expired) => End::Expired,
                // The master knows nothing of a model that cannot be computed.
                error @ Error::Compute(_) => return Err(error),
                Error::Program(code) => return Ok(Some(code)),
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

    /// Waits for what the master knows of the job, and makes the model on the servers.
    async fn connect(&mut self) -> Result<(), Error> {
        let watcher = self.heart.watcher();
        self.agreed = DataDescription::try_from(watcher.agreed().await)?;
        let map = watcher.shard_map().await;
        self.shard_map = map.clone();
        // The model of a user's program is nobody's business here, the evaluator's neither.
        if self.agreed.kind == DataKind::Program {
            return Ok(());
        }
        let compute = self.kept.model(&self.agreed, self.config.compute_on).await?;
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
                wire: self.settings.wire,
            },
            &self.outside,
        )?;
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

fn role_name(role: v1::Role) -> &'static str {
    match role {
        v1::Role::Worker => "worker",
        v1::Role::Evaluator => "evaluator",
        v1::Role::Server | v1::Role::Unspecified => "member",
    }
}
