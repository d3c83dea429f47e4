//! A worker's or evaluator's membership in a job with a master, kept alive by a heartbeat, and what
//! the master says of the job.

use crate::counters::Counters;
use crate::shard_map::ShardMapWatch;
use ps_core::master::ShardMapUpdate;
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
    shard_map: ShardMapWatch,
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
        let (job_state, state) = watch::channel(JobState::default());
        let (updates, shard_map) = watch::channel(ShardMapUpdate::default());
        let heartbeat_now = Arc::new(Notify::new());
        let beats = Heartbeat {
            member: member.clone(),
            counters: counters.clone(),
            shutdown,
            state: job_state,
            shard_map: updates,
            now: heartbeat_now.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(beats.run());
        let (state, shard_map) = (JobWatch(state), ShardMapWatch::new(shard_map));
        let _heartbeat = tasks;
        Ok(Self { job, outside, counters, member, state, shard_map, heartbeat_now, _heartbeat })
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

    /// Where the shards are, as the master says.
    pub fn shard_map(&self) -> ShardMapWatch {
        self.shard_map.clone()
    }
}

/// What the master last said of the job.
#[derive(Clone, Debug, Default)]
struct JobState {
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

/// What tells the master that a member lives, and hears of the job.
struct Heartbeat {
    member: Arc<Member>,
    counters: Arc<Counters>,
    shutdown: Shutdown,
    state: watch::Sender<JobState>,
    shard_map: watch::Sender<ShardMapUpdate>,
    now: Arc<Notify>,
}

impl Heartbeat {
    async fn run(mut self) {
        loop {
            let request = v1::HeartbeatRequest {
                clock: self.counters.clock(),
                waiting: self.counters.is_exchanging(),
                counters: Some(self.counters.to_wire()),
                leaving: self.shutdown.signal().is_some(),
                map_revision: self.shard_map.borrow().revision,
                ..v1::HeartbeatRequest::default()
            };
            let answer = self.member.heartbeat(request).await;
            self.take(answer);
            if self.state.borrow().end.is_some() {
                return;
            }
            let interval = self.member.heartbeat_interval();
            // Until the map is there, everybody waits for it: ask more often.
            let is_known = self.shard_map.borrow().revision > 0;
            let wait = if is_known { interval } else { interval.min(START_INTERVAL) };
            tokio::select! {
                biased;
                () = tokio::time::sleep(wait) => {}
                () = self.now.notified() => {}
                _ = self.shutdown.wait(), if self.shutdown.signal().is_none() => {}
            }
        }
    }

    fn take(&self, answer: Result<v1::HeartbeatReply, Error>) {
        let taken = answer.and_then(|mut reply| {
            if let Some(shard_map) = reply.shard_map.take() {
                self.take_shard_map(shard_map)?;
            }
            Ok(reply)
        });
        self.state.send_modify(|state| match taken {
            Ok(reply) => {
                state.data = reply.data.or(state.data.take());
                state.progress = reply.progress.unwrap_or_default();
                state.stop |= reply.stop;
                state.end = reply.leave.map(MembershipEnd::Leave);
            }
            Err(Error::Expired) => state.end = Some(MembershipEnd::Expired),
            Err(error) => {
                let (address, message) = (self.member.address().to_owned(), error.to_string());
                state.end = Some(MembershipEnd::Lost { address, message });
            }
        });
    }

    fn take_shard_map(&self, shard_map: v1::ShardMap) -> Result<(), Error> {
        let update = ShardMapUpdate::try_from(shard_map).map_err(|error| Error::Refused {
            address: self.member.address().to_owned(),
            message: error.to_string(),
        })?;
        tell_who_is_away(&self.shard_map.borrow(), &update);
        self.shard_map.send_replace(update);
        Ok(())
    }
}

/// Tells people whom the job waits for from now on, and whom no more.
fn tell_who_is_away(before: &ShardMapUpdate, now: &ShardMapUpdate) {
    let is_in = |update: &ShardMapUpdate, shard| update.away.iter().any(|it| it.shard == shard);
    for server in now.away.iter().filter(|server| !is_in(before, server.shard)) {
        let (shard, silent, left) = (server.shard, server.silent, server.left);
        tracing::info!(
            "server {shard} is away: the master has heard nothing of it for {silent:.1?}, and waits for it \
             for {left:.1?} more"
        );
    }
    for server in before.away.iter().filter(|server| !is_in(now, server.shard)) {
        tracing::info!("server {} is back", server.shard);
    }
}
