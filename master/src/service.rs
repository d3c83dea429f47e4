//! The calls of members, checked and passed on to the driver.

use ps_core::limits::CONTROL_CALLS_MAX;
use ps_core::master::{
    Config, Heartbeat, Refusal, Registered, Registration, Task, TaskRequest, Word,
};
use ps_proto::convert::control::refused;
use ps_proto::convert::refusal::{self, Reason};
use ps_proto::convert::settings::settings_to_wire;
use ps_proto::v1;
use ps_proto::v1::master_server::Master;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tonic::{Request, Response, Status};

/// Where an answer goes; nobody may wait for it any more.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// A member's call for the driver.
pub(crate) enum Call {
    Register(Registration, Reply<Registered>),
    Heartbeat(Heartbeat, Reply<Word>),
    NextTask(TaskRequest, Reply<Task>),
    Failure(String, Reply<()>),
}

/// Characters of a reported reason that are kept: about as many as a failure file has.
const REASON_CHARACTERS_MAX: usize = 1024;

/// The master's side of the control plane.
pub(crate) struct Service {
    job: String,
    lease: Duration,
    settings: String,
    workers: u32,
    calls: mpsc::Sender<Call>,
}

impl Service {
    /// A service, and the calls that it passes on.
    pub(crate) fn new(job: &str, machine: &Config) -> (Self, mpsc::Receiver<Call>) {
        let (calls, received) = mpsc::channel(CONTROL_CALLS_MAX);
        let Config { lease, workers, settings, .. } = machine;
        let (job, settings) = (job.to_owned(), settings_to_wire(settings));
        let service = Self { job, lease: *lease, settings, workers: *workers, calls };
        (service, received)
    }

    fn check_job(&self, job: &str) -> Result<(), Status> {
        if job == self.job {
            return Ok(());
        }
        let message = format!(
            "the caller belongs to job `{}`, this master leads job `{}`: give both the same --job-id",
            job.chars().take(64).collect::<String>(),
            self.job
        );
        Err(refusal::status(Reason::OtherJob, 0, 0, message))
    }

    async fn ask<T>(&self, call: impl FnOnce(Reply<T>) -> Call) -> Result<T, Status> {
        let (reply, answer) = oneshot::channel();
        let over = |_| Status::unavailable("the master is ending");
        self.calls.send(call(reply)).await.map_err(|_| over(()))?;
        answer.await.map_err(|_| over(()))?.map_err(|refusal| refused(&refusal))
    }
}

#[tonic::async_trait]
impl Master for Service {
    async fn register(
        &self,
        request: Request<v1::RegisterRequest>,
    ) -> Result<Response<v1::RegisterReply>, Status> {
        let request = request.into_inner();
        self.check_job(&request.job)?;
        let registration = Registration::try_from(request)?;
        let registered = self.ask(|reply| Call::Register(registration, reply)).await?;
        Ok(Response::new(v1::RegisterReply {
            index: registered.index,
            incarnation: registered.incarnation,
            lease_ms: u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX),
            settings: self.settings.clone(),
            workers: self.workers,
        }))
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatReply>, Status> {
        let request = request.into_inner();
        self.check_job(&request.job)?;
        let beat = Heartbeat::try_from(request)?;
        let word = self.ask(|reply| Call::Heartbeat(beat, reply)).await?;
        Ok(Response::new(word.into()))
    }

    async fn next_task(
        &self,
        request: Request<v1::NextTaskRequest>,
    ) -> Result<Response<v1::NextTaskReply>, Status> {
        let request = request.into_inner();
        self.check_job(&request.job)?;
        let request = TaskRequest::try_from(request)?;
        let task = self.ask(|reply| Call::NextTask(request, reply)).await?;
        Ok(Response::new(task.into()))
    }

    async fn report_failure(
        &self,
        request: Request<v1::FailureReport>,
    ) -> Result<Response<v1::FailureReply>, Status> {
        let v1::FailureReport { job, reason } = request.into_inner();
        self.check_job(&job)?;
        let reason = reason.chars().take(REASON_CHARACTERS_MAX).collect();
        self.ask(|reply| Call::Failure(reason, reply)).await?;
        Ok(Response::new(v1::FailureReply {}))
    }
}
