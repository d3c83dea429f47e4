//! The calls of members, checked and passed on to the driver.

mod weights;

use crate::upload::Upload;
use ps_core::limits::CONTROL_CALLS_MAX;
use ps_core::master::{
    ColumnsAnswer, ColumnsRequest, Config, Heartbeat, Machine, MeasuresReport, MemberId,
    Registration, Rejection, SamplesAnswer, SamplesRequest, Task, TaskRequest,
};
use ps_proto::convert::control::refused;
use ps_proto::convert::program::WeightsPiece;
use ps_proto::convert::refusal::{self, Reason};
use ps_proto::convert::settings::settings_to_wire;
use ps_proto::convert::words::one_line;
use ps_proto::v1::master_server::Master;
use ps_proto::{PROTOCOL, v1};
use ps_runtime::clock::Clock;
use ps_runtime::files::Files;
use ps_runtime::requests::Arrival;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use tonic::{Request, Response, Status};

/// What the machine is asked, told when the call arrived.
type Question = Box<dyn FnOnce(&mut Machine, Duration) -> Answer + Send>;

/// What a member is told, when that may be said.
pub(crate) struct Answer {
    lasts: bool,
    say: Box<dyn FnOnce() + Send>,
}

impl Answer {
    /// Whether it must still be true when another process leads the job.
    pub(crate) fn lasts(&self) -> bool {
        self.lasts
    }

    /// Says it.
    pub(crate) fn say(self) {
        (self.say)();
    }
}

/// A member's call for the driver.
pub(crate) struct Call {
    /// When it came: until it is answered, it may wait for others.
    arrived: Duration,
    question: Question,
}

impl Call {
    /// Answers it; whoever gave up waiting repeats it.
    pub(crate) fn answer(self, machine: &mut Machine) -> Answer {
        (self.question)(machine, self.arrived)
    }
}

/// Characters of a reported reason that are kept: about as many as a failure file has.
const REASON_CHARACTERS_MAX: usize = 1024;

/// Characters of the address of who loads its data that are shown.
const ADDRESS_CHARACTERS_MAX: usize = 256;

/// The master's side of the control plane.
pub(crate) struct Service {
    job: String,
    lease: Duration,
    server_away: Duration,
    settings: String,
    workers: u32,
    clock: Clock,
    calls: mpsc::Sender<Call>,
    /// Where the best weights are kept, and those that are under way: of one program at a time.
    kept: Files,
    upload: Mutex<Option<Upload>>,
}

impl Service {
    /// A service, and the calls that it passes on. `kept` is where the best weights of programs are written.
    pub(crate) fn new(
        job: &str,
        machine: &Config,
        clock: Clock,
        kept: Files,
    ) -> (Self, mpsc::Receiver<Call>) {
        let (calls, received) = mpsc::channel(CONTROL_CALLS_MAX);
        let service = Self {
            job: job.to_owned(),
            lease: machine.lease,
            server_away: machine.server_away,
            settings: settings_to_wire(&machine.settings),
            workers: machine.workers,
            clock,
            calls,
            kept,
            upload: Mutex::default(),
        };
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

    /// When this call came: ahead of what it waited for since.
    fn arrival<T>(&self, request: &Request<T>) -> Duration {
        let stamped = request.extensions().get::<Arrival>();
        stamped.map_or_else(|| self.clock.now(), |arrival| arrival.0)
    }

    /// Has the driver's machine asked; `lasts` says of an answer whether it must still be true when another process
    /// leads the job.
    async fn ask<T: Send + 'static>(
        &self,
        arrived: Duration,
        question: impl FnOnce(&mut Machine, Duration) -> Result<T, Rejection> + Send + 'static,
        lasts: impl FnOnce(&T) -> bool + Send + 'static,
    ) -> Result<T, Status> {
        let (reply, answered) = oneshot::channel();
        let question: Question = Box::new(|machine, arrived| {
            let answer = question(machine, arrived);
            let lasts = answer.as_ref().is_ok_and(lasts);
            Answer { lasts, say: Box::new(|| drop(reply.send(answer))) }
        });
        let is_over = || Status::unavailable("the master is ending");
        self.calls.send(Call { arrived, question }).await.map_err(|_| is_over())?;
        answered.await.map_err(|_| is_over())?.map_err(|rejection| refused(&rejection))
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[tonic::async_trait]
impl Master for Service {
    async fn register(
        &self,
        request: Request<v1::RegisterRequest>,
    ) -> Result<Response<v1::RegisterReply>, Status> {
        let (arrived, request) = (self.arrival(&request), request.into_inner());
        self.check_job(&request.job)?;
        let registration = Registration::try_from(request)?;
        let register = |machine: &mut Machine, now| machine.register(registration, now);
        let registered = self.ask(arrived, register, |_| true).await?;
        Ok(Response::new(v1::RegisterReply {
            index: registered.index,
            incarnation: registered.incarnation,
            lease_ms: milliseconds(self.lease),
            server_away_ms: milliseconds(self.server_away),
            settings: self.settings.clone(),
            workers: self.workers,
            protocol: PROTOCOL,
        }))
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatReply>, Status> {
        let (arrived, request) = (self.arrival(&request), request.into_inner());
        self.check_job(&request.job)?;
        let beat = Heartbeat::try_from(request)?;
        let beat = |machine: &mut Machine, now| machine.heartbeat(beat, now);
        let reply = self.ask(arrived, beat, |reply| reply.leave.is_some()).await?;
        Ok(Response::new(reply.into()))
    }

    async fn next_task(
        &self,
        request: Request<v1::NextTaskRequest>,
    ) -> Result<Response<v1::NextTaskReply>, Status> {
        let (arrived, request) = (self.arrival(&request), request.into_inner());
        self.check_job(&request.job)?;
        let request = TaskRequest::try_from(request)?;
        let has_news = request.finished.is_some() || request.evaluated.is_some();
        let next = |machine: &mut Machine, now| machine.next_task(request, now);
        let lasts = move |task: &Task| has_news || !matches!(task, Task::Wait(_));
        let task = self.ask(arrived, next, lasts).await?;
        Ok(Response::new(task.into()))
    }

    async fn report_failure(
        &self,
        request: Request<v1::FailureReport>,
    ) -> Result<Response<v1::FailureReply>, Status> {
        let arrived = self.arrival(&request);
        let v1::FailureReport { job, reason, ended_workers } = request.into_inner();
        self.check_job(&job)?;
        let reason = one_line(&reason, REASON_CHARACTERS_MAX);
        let ended = move |machine: &mut Machine, now| {
            match ended_workers.as_slice() {
                [] => machine.others_failed(reason, now),
                ended => machine.workers_ended(ended, reason, now),
            }
            Ok(())
        };
        self.ask(arrived, ended, |()| true).await?;
        Ok(Response::new(v1::FailureReply {}))
    }

    async fn report_ended(
        &self,
        request: Request<v1::EndedReport>,
    ) -> Result<Response<v1::EndedReply>, Status> {
        let arrived = self.arrival(&request);
        let v1::EndedReport { job, workers, evaluators, servers, how } = request.into_inner();
        self.check_job(&job)?;
        let how = one_line(&how, REASON_CHARACTERS_MAX);
        let workers = workers.into_iter().map(MemberId::worker);
        let others = evaluators.into_iter().map(MemberId::evaluator);
        let ended = workers.chain(others).chain(servers.into_iter().map(MemberId::server));
        let ended: Vec<_> = ended.collect();
        let ended = move |machine: &mut Machine, now| {
            machine.members_ended(&ended, &how, now);
            Ok(())
        };
        self.ask(arrived, ended, |()| true).await?;
        Ok(Response::new(v1::EndedReply {}))
    }

    async fn report_loading(
        &self,
        request: Request<v1::LoadingReport>,
    ) -> Result<Response<v1::LoadingReply>, Status> {
        let arrived = self.arrival(&request);
        let request = request.into_inner();
        let is_evaluator = request.role() == v1::Role::Evaluator;
        let v1::LoadingReport { job, address, .. } = request;
        self.check_job(&job)?;
        let address = one_line(&address, ADDRESS_CHARACTERS_MAX);
        let loading = move |machine: &mut Machine, now| {
            machine.loading(&address, is_evaluator, now);
            Ok(())
        };
        self.ask(arrived, loading, |()| false).await?;
        Ok(Response::new(v1::LoadingReply {}))
    }

    async fn checkpoint_now(
        &self,
        request: Request<v1::CheckpointNowRequest>,
    ) -> Result<Response<v1::CheckpointNowReply>, Status> {
        let arrived = self.arrival(&request);
        let v1::CheckpointNowRequest { job, number } = request.into_inner();
        self.check_job(&job)?;
        let number = (number > 0).then_some(number);
        let is_new = number.is_none();
        let ask = move |machine: &mut Machine, now| machine.checkpoint_now(number, now);
        let answer = self.ask(arrived, ask, move |_| is_new).await?;
        Ok(Response::new(answer.into()))
    }

    async fn next_samples(
        &self,
        request: Request<v1::NextSamplesRequest>,
    ) -> Result<Response<v1::NextSamplesReply>, Status> {
        let (arrived, request) = (self.arrival(&request), request.into_inner());
        self.check_job(request.caller.as_ref().map_or("", |caller| &caller.job))?;
        let request = SamplesRequest::try_from(request)?;
        let has_news = request.gives_back || !request.finished.is_empty();
        let next = move |machine: &mut Machine, now| machine.next_samples(&request, now);
        let is_wait = |answer: &SamplesAnswer| matches!(answer, SamplesAnswer::Wait(_));
        let answer = self.ask(arrived, next, move |answer| has_news || !is_wait(answer)).await?;
        Ok(Response::new(answer.into()))
    }

    async fn report_measures(
        &self,
        request: Request<v1::MeasuresReport>,
    ) -> Result<Response<v1::MeasuresReply>, Status> {
        let (arrived, request) = (self.arrival(&request), request.into_inner());
        self.check_job(request.caller.as_ref().map_or("", |caller| &caller.job))?;
        let report = MeasuresReport::try_from(request)?;
        let measured = move |machine: &mut Machine, now| machine.measured(&report, now);
        let answer = self.ask(arrived, measured, |_| true).await?;
        Ok(Response::new(answer.into()))
    }

    async fn keep_weights(
        &self,
        request: Request<v1::KeepWeightsRequest>,
    ) -> Result<Response<v1::KeepWeightsReply>, Status> {
        let (arrived, request) = (self.arrival(&request), request.into_inner());
        self.check_job(request.caller.as_ref().map_or("", |caller| &caller.job))?;
        let piece = WeightsPiece::try_from(request)?;
        self.take_piece(arrived, piece).await.map(Response::new)
    }

    async fn learn_columns(
        &self,
        request: Request<v1::ColumnsRequest>,
    ) -> Result<Response<v1::ColumnsReply>, Status> {
        let (arrived, request) = (self.arrival(&request), request.into_inner());
        self.check_job(&request.job)?;
        let request = ColumnsRequest::try_from(request)?;
        // The sum is asked for from its first part on.
        let is_first = request.wanted == 0;
        let learn = |machine: &mut Machine, now| machine.learn_columns(request, now);
        let lasts = move |answer: &ColumnsAnswer| answer.is_settled && is_first;
        let answer = self.ask(arrived, learn, lasts).await?;
        Ok(Response::new(answer.into()))
    }
}
