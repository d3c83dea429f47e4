//! One membership of a worker or evaluator: asks the master for work, does it, reports it.

mod evaluation;
mod lease;

use super::error::Error;
use super::trainer::{Trainer, freeze};
use super::workload::{Workload, WorkloadKind};
use crate::compute::{ComputeError, ComputeOn};
use ps_client::{CallOptions, Counters, Membership, MembershipEnd, Session};
use ps_core::settings::TrainingSettings;
use ps_core::{DataDescription, DataKind};
use ps_proto::convert::settings::settings_from_wire;
use ps_proto::v1::next_task_reply::Task;
use ps_proto::{PROTOCOL, v1};
use ps_runtime::link::Link;
use ps_runtime::member;
use ps_runtime::{Outside, Shutdown};
use std::sync::Arc;
use std::time::Duration;

/// How long a process that ends its job with its own failure waits for the master to let it go.
const LET_GO: Duration = Duration::from_secs(2);

/// What a worker or evaluator is told.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The job it belongs to.
    pub job: String,
    /// Worker or evaluator.
    pub role: v1::Role,
    /// The master's address.
    pub master: String,
    /// The rank that it would like.
    pub index: Option<u32>,
    /// Where it runs, for messages to people.
    pub address: String,
    /// How long one attempt of a call to a server may take.
    pub attempt: Duration,
    /// How long a server may be away, unless the master says that it waits for it.
    pub patience: Duration,
    /// Where gradients are computed.
    pub compute_on: ComputeOn,
    /// After a signal it waits for the master to save and let it go, at most this long.
    pub leave_after_signal: Duration,
}

/// A member of a job, from registration to the end of the membership.
pub(super) struct JobMember {
    config: WorkerConfig,
    membership: Membership,
    outside: Outside,
    trainer: Option<Trainer>,
    workload: Workload,
    settings: TrainingSettings,
    /// What the members have together, once it is known.
    data: DataDescription,
    /// To the process that serves samples.
    sample_link: Option<Arc<Link>>,
}

impl JobMember {
    /// Registers with the master.
    pub(super) async fn register(
        config: &WorkerConfig,
        workload: Workload,
        counters: Arc<Counters>,
        outside: &Outside,
        shutdown: Shutdown,
        token: u64,
    ) -> Result<Self, Error> {
        let request = v1::RegisterRequest {
            job: config.job.clone(),
            role: config.role.into(),
            token,
            index: config.index,
            address: config.address.clone(),
            data: Some(workload.data.clone().into()),
            protocol: PROTOCOL,
            keeps_best: workload.keeps().is_some(),
            about: workload.about(),
            ..v1::RegisterRequest::default()
        };
        let registered =
            Membership::register(&config.master, request, counters, shutdown, outside.clone());
        let membership = registered.await?;
        let settings = settings_from_wire(&membership.member().registered().settings)?;
        Ok(Self {
            config: config.clone(),
            membership,
            outside: outside.clone(),
            trainer: None,
            workload,
            settings,
            data: DataDescription::default(),
            sample_link: None,
        })
    }

    /// The rank that the master gave.
    pub(super) fn rank(&self) -> u32 {
        self.membership.member().registered().index
    }

    /// What the next membership goes on with.
    pub(super) async fn into_workload(mut self) -> Workload {
        if let (Some(trainer), WorkloadKind::Model(model)) =
            (self.trainer.take(), &mut self.workload.kind)
        {
            model.compute = trainer.into_compute().await;
        }
        self.workload
    }

    /// Works until the membership ends; the exit code, or `None` to register anew.
    pub(super) async fn work(&mut self, shutdown: &mut Shutdown) -> Result<Option<u8>, Error> {
        let job = self.membership.watch();
        let leave_after_signal = self.config.leave_after_signal;
        let signalled = async {
            let signal = shutdown.wait().await;
            tokio::time::sleep(leave_after_signal).await;
            signal.exit_code()
        };
        let mut signalled = std::pin::pin!(signalled);
        let end = tokio::select! {
            biased;
            end = job.ended() => end,
            code = &mut signalled => return Ok(Some(code)),
            worked = self.do_tasks() => match worked {
                Ok(never) => match never {},
                Err(Error::Member(member::Error::Expired)) => MembershipEnd::Expired,
                // The master knows whether it gave the rank to another, or fences everybody at the end.
                Err(Error::Client(ps_client::Error::Superseded { .. })) => tokio::select! {
                    end = job.ended() => end,
                    code = &mut signalled => return Ok(Some(code)),
                },
                // The master knows nothing of a model that cannot be computed.
                Err(error @ Error::Compute(_)) => return Err(error),
                Err(Error::Program(code)) => return Ok(Some(code)),
                Err(error) => self.explain(error).await?,
            },
        };
        exit_code(end)
    }

    /// The master knows best why a server is gone: it says so within the lease.
    async fn explain(&self, error: Error) -> Result<MembershipEnd, Error> {
        let grace = self.membership.member().lease() * 2;
        match tokio::time::timeout(grace, self.membership.watch().ended()).await {
            Ok(end @ MembershipEnd::Leave(_)) => Ok(end),
            _ => Err(error),
        }
    }

    /// Asks for tasks and does them; ends only with an error.
    async fn do_tasks(&mut self) -> Result<std::convert::Infallible, Error> {
        self.connect().await?;
        let mut request = v1::NextTaskRequest::default();
        loop {
            request.number += 1;
            let task = self.membership.member().next_task(request.clone()).await?.task;
            let was_working = request.finished.is_some();
            (request.finished, request.evaluated) = (None, None);
            match task {
                Some(Task::Train(task)) => request.finished = self.train(task).await?,
                Some(Task::Evaluate(task)) => request.evaluated = Some(self.evaluate(task).await?),
                Some(Task::Wait(wait)) => {
                    if was_working {
                        self.membership.heartbeat_now();
                    }
                    tokio::time::sleep(Duration::from_millis(wait.milliseconds.max(1))).await;
                }
                None => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Waits for what the master knows of the job, and makes the model on the servers.
    async fn connect(&mut self) -> Result<(), Error> {
        let job = self.membership.watch();
        self.data = DataDescription::try_from(job.data().await)?;
        self.membership.shard_map().known().await;
        // The model of a user's program is nobody's business here, the evaluator's neither.
        if self.data.kind == DataKind::Program {
            return Ok(());
        }
        let WorkloadKind::Model(model) = &mut self.workload.kind else {
            let message = "this process has no model: it runs a program";
            return Err(ComputeError(message.to_owned()).into());
        };
        let WorkerConfig { attempt, patience, compute_on, role, .. } = self.config;
        let settings = &self.settings;
        let built = model.model(&self.data, compute_on).await.and_then(|mut compute| {
            freeze(&mut *compute, settings)?;
            Ok(compute)
        });
        let compute = match built {
            Ok(compute) => compute,
            Err(error) => return Err(self.cannot_build(error).await),
        };
        let calls = CallOptions { attempt, patience, wire: self.settings.wire };
        let session = Session::of_member(&self.membership, calls).await?;
        let trainer = Trainer::new(session, compute, self.settings.clone(), compute_on);
        let trainer = self.trainer.insert(trainer);
        let started = match role {
            v1::Role::Worker => trainer.init().await,
            _ => trainer.check_model().await,
        };
        match started {
            // The others' model is the same: they would fail one after the other.
            Err(error @ Error::Client(ps_client::Error::Refused { .. })) => {
                Err(self.cannot_build(error).await)
            }
            started => started,
        }
    }

    /// The model cannot be built for the data of the job: no other worker can do it either, and the
    /// master is told before one after the other leaves without a word.
    async fn cannot_build(&self, error: Error) -> Error {
        let WorkerConfig { job, role, master, address, .. } = &self.config;
        let who = if *role == v1::Role::Evaluator { "the evaluator" } else { "a worker" };
        let reason = format!("{who} at {address} cannot build the model of this job: {error}");
        let told = member::report_failure(&self.outside, master, job, &reason, Vec::new()).await;
        match told {
            // Whoever leaves without being let go is waited for until its lease is over.
            Ok(()) => {
                self.membership.heartbeat_now();
                let _ = tokio::time::timeout(LET_GO, self.membership.watch().ended()).await;
            }
            Err(untold) => {
                tracing::warn!("the master could not be told why this process fails: {untold}");
            }
        }
        error
    }
}

/// The exit code, `None` to register anew.
fn exit_code(end: MembershipEnd) -> Result<Option<u8>, Error> {
    match end {
        MembershipEnd::Expired => Ok(None),
        MembershipEnd::Lost { address, message } => {
            Err(Error::Member(member::Error::MasterLost { address, message }))
        }
        MembershipEnd::Leave(leave) => match u8::try_from(leave.exit_code).unwrap_or(1) {
            1 => Err(Error::JobFailed(leave.reason)),
            code => Ok(Some(code)),
        },
    }
}
