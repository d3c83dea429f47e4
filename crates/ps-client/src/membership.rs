//! A worker's or evaluator's membership in a job with a master, kept alive by a heartbeat, and what
//! the master says of the job.

use crate::counters::Counters;
use ps_proto::v1;
use ps_runtime::member::{Error, Member};
use ps_runtime::{Outside, Shutdown};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// How often the shard map is asked for.
const START_INTERVAL: Duration = Duration::from_millis(50);

/// A membership; the master hears no more of it when this is dropped.
pub struct Membership {
    pub(crate) job: String,
    pub(crate) outside: Outside,
    pub(crate) counters: Arc<Counters>,
    member: Arc<Member>,
    state: JobWatch,
    /// Makes the next heartbeat come at once.
    heartbeat_now: Arc<Notify>,
    _heartbeat: JoinSet<()>,
}

impl Membership {
    /// Registers with the master at this address, and tells it from then on what is counted.
    ///
    /// # Errors
    /// No answer in time, or a refusal.
    pub async fn register(
        master: &str,
        request: v1::RegisterRequest,
        counters: Arc<Counters>,
        shutdown: Shutdown,
        outside: Outside,
    ) -> Result<Self, Error> {
        let (job, role) = (request.job.clone(), request.role());
        let member = Arc::new(Member::register(&outside, master, request).await?);
        let v1::RegisterReply { index, incarnation, .. } = *member.registered();
        let role = if role == v1::Role::Evaluator { "evaluator" } else { "worker" };
        tracing::info!(
            "registered with the master at {master} as {role} {index}, incarnation {incarnation}"
        );
        counters.begin_registration();
        let (sender, state) = watch::channel(JobState::default());
        let heartbeat_now = Arc::new(Notify::new());
        let beats =
            heartbeat(member.clone(), counters.clone(), shutdown, sender, heartbeat_now.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(beats);
        let state = JobWatch(state);
        Ok(Self { job, outside, counters, member, state, heartbeat_now, _heartbeat: tasks })
    }

    /// What the master answered, and how it is asked for work.
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// Sends a heartbeat at once: the worker has come to rest, and what it counted belongs into the
    /// report.
    pub fn heartbeat_now(&self) {
        self.heartbeat_now.notify_one();
    }

    /// A view of the job that outlives a borrow of this.
    pub fn watch(&self) -> JobWatch {
        self.state.clone()
    }
}

/// What the master last said of the job.
#[derive(Clone, Debug, Default)]
struct JobState {
    shard_map: Option<v1::ShardMap>,
    progress: v1::JobProgress,
    data: Option<v1::DataDescription>,
    stop: bool,
    end: Option<MembershipEnd>,
}

/// Why a membership ended.
#[derive(Clone, Debug)]
pub enum MembershipEnd {
    /// The master lets the member leave.
    Leave(v1::Leave),
    /// The lease expired: register anew.
    Expired,
    /// The master is lost, or refused.
    Lost {
        /// Where it was.
        address: String,
        /// What the last attempt met.
        message: String,
    },
}

/// A view of what the master says.
#[derive(Clone)]
pub struct JobWatch(watch::Receiver<JobState>);

impl JobWatch {
    /// How far the job is.
    pub fn progress(&self) -> v1::JobProgress {
        self.0.borrow().progress
    }

    /// Whether the master wants no new step to be started.
    pub fn must_stop(&self) -> bool {
        self.0.borrow().stop
    }

    /// Waits for the master's wish that no new step is started.
    pub async fn stopped(&self) {
        self.known(|state| state.stop.then_some(())).await;
    }

    /// The shard map, once every server has registered.
    pub async fn shard_map(&self) -> v1::ShardMap {
        self.known(|state| state.shard_map.clone()).await
    }

    /// What data the members have together, once that is settled.
    pub async fn data(&self) -> v1::DataDescription {
        self.known(|state| state.data.clone()).await
    }

    /// The end of the membership.
    pub async fn ended(&self) -> MembershipEnd {
        self.known(|state| state.end.clone()).await
    }

    /// A part of the state, once it is known; never, when the heartbeat ended before.
    async fn known<T>(&self, part: impl Fn(&JobState) -> Option<T>) -> T {
        let mut state = self.0.clone();
        let state = state.wait_for(|state| part(state).is_some()).await;
        let known = state.ok().and_then(|state| part(&state));
        match known {
            Some(known) => known,
            None => std::future::pending().await,
        }
    }
}

async fn heartbeat(
    member: Arc<Member>,
    counters: Arc<Counters>,
    mut shutdown: Shutdown,
    sender: watch::Sender<JobState>,
    now: Arc<Notify>,
) {
    loop {
        let request = v1::HeartbeatRequest {
            clock: counters.clock(),
            waiting: counters.is_exchanging(),
            counters: Some(counters.to_wire()),
            leaving: shutdown.signal().is_some(),
            ..v1::HeartbeatRequest::default()
        };
        let answer = member.heartbeat(request).await;
        sender.send_modify(|state| match answer {
            Ok(reply) => {
                state.shard_map = reply.shard_map.or(state.shard_map.take());
                state.data = reply.data.or(state.data.take());
                state.progress = reply.progress.unwrap_or_default();
                state.stop |= reply.stop;
                state.end = reply.leave.map(MembershipEnd::Leave);
            }
            Err(Error::Expired) => state.end = Some(MembershipEnd::Expired),
            Err(error) => {
                let (address, message) = (member.address().to_owned(), error.to_string());
                state.end = Some(MembershipEnd::Lost { address, message });
            }
        });
        if sender.borrow().end.is_some() {
            return;
        }
        let interval = member.heartbeat_interval();
        let is_known = sender.borrow().shard_map.is_some();
        // Until the map is there, everybody waits for it: ask more often.
        let wait = if is_known { interval } else { interval.min(START_INTERVAL) };
        tokio::select! {
            biased;
            () = tokio::time::sleep(wait) => {}
            () = now.notified() => {}
            _ = shutdown.wait(), if shutdown.signal().is_none() => {}
        }
    }
}
