//! The heartbeat: tells the master that this member lives, and the member what the master wants.

use super::{Counters, Error};
use ps_proto::v1;
use ps_runtime::Shutdown;
use ps_runtime::member::{self, Member};
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// What the master last said.
#[derive(Clone, Debug, Default)]
pub(super) struct Word {
    pub(super) shard_map: Option<v1::ShardMap>,
    pub(super) progress: v1::JobProgress,
    pub(super) data: Option<v1::DataDescription>,
    pub(super) stop: bool,
    pub(super) end: Option<End>,
}

/// Why a membership ended.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// The master lets the member leave.
    Leave(v1::Leave),
    /// The lease expired: register anew.
    Expired,
    /// The master is lost, or refused.
    Lost(String, String),
}

/// A running heartbeat; it ends when this is dropped.
pub(super) struct Heart {
    watcher: Watcher,
    nudge: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

/// A view of what the master says.
#[derive(Clone)]
pub(super) struct Watcher(watch::Receiver<Word>);

impl Drop for Heart {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Heart {
    /// Starts beating for this member.
    pub(super) fn start(member: Arc<Member>, counters: Arc<Counters>, shutdown: Shutdown) -> Self {
        let (sender, word) = watch::channel(Word::default());
        let nudge = Arc::new(Notify::new());
        let task = tokio::spawn(beat(member, counters, shutdown, sender, nudge.clone()));
        Self { watcher: Watcher(word), nudge, task }
    }

    /// Beats at once: the worker has come to rest, and what it counted belongs into the report.
    pub(super) fn beat_now(&self) {
        self.nudge.notify_one();
    }

    /// A view that outlives a borrow of the heart.
    pub(super) fn watcher(&self) -> Watcher {
        self.watcher.clone()
    }
}

impl Watcher {
    /// What the master last said.
    pub(super) fn word(&self) -> Word {
        self.0.borrow().clone()
    }

    /// The shard map, once every server has registered.
    pub(super) async fn shard_map(&self) -> v1::ShardMap {
        let mut word = self.0.clone();
        let known = word.wait_for(|word| word.shard_map.is_some()).await;
        match known.ok().and_then(|word| word.shard_map.clone()) {
            Some(map) => map,
            None => std::future::pending().await,
        }
    }

    /// What data the members have together, once that is settled.
    pub(super) async fn agreed(&self) -> v1::DataDescription {
        let mut word = self.0.clone();
        let known = word.wait_for(|word| word.data.is_some()).await;
        match known.ok().and_then(|word| word.data.clone()) {
            Some(data) => data,
            None => std::future::pending().await,
        }
    }

    /// The end of the membership.
    pub(super) async fn ended(&self) -> End {
        let mut word = self.0.clone();
        let ended = word.wait_for(|word| word.end.is_some()).await;
        match ended.ok().and_then(|word| word.end.clone()) {
            Some(end) => end,
            None => std::future::pending().await,
        }
    }

    /// The master's wish that no new step is started.
    pub(super) async fn stopped(&self) {
        let mut word = self.0.clone();
        if word.wait_for(|word| word.stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn beat(
    member: Arc<Member>,
    counters: Arc<Counters>,
    mut shutdown: Shutdown,
    sender: watch::Sender<Word>,
    nudge: Arc<Notify>,
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
        let over = sender.send_if_modified(|word| {
            match answer {
                Ok(reply) => {
                    word.shard_map = reply.shard_map.or(word.shard_map.take());
                    word.data = reply.data.or(word.data.take());
                    word.progress = reply.progress.unwrap_or_default();
                    word.stop |= reply.stop;
                    word.end = reply.leave.map(End::Leave);
                }
                Err(member::Error::Expired) => word.end = Some(End::Expired),
                Err(error) => {
                    word.end = Some(End::Lost(member.address().to_owned(), error.to_string()));
                }
            }
            true
        });
        if !over || sender.borrow().end.is_some() {
            return;
        }
        let interval = member.heartbeat_interval();
        let known = sender.borrow().shard_map.is_some();
        // Until the map is there, everybody waits for it: ask more often.
        let wait = if known { interval } else { interval.min(START_INTERVAL) };
        tokio::select! {
            biased;
            () = tokio::time::sleep(wait) => {}
            () = nudge.notified() => {}
            _ = shutdown.wait(), if shutdown.signal().is_none() => {}
        }
    }
}

/// How often the shard map is asked for.
const START_INTERVAL: std::time::Duration = std::time::Duration::from_millis(50);

impl End {
    /// The exit code, `None` to register anew.
    pub(super) fn exit_code(self) -> Result<Option<u8>, Error> {
        match self {
            Self::Expired => Ok(None),
            Self::Lost(address, message) => {
                Err(Error::Member(member::Error::MasterLost { address, message }))
            }
            Self::Leave(leave) => match u8::try_from(leave.exit_code).unwrap_or(1) {
                1 => Err(Error::JobFailed(leave.reason)),
                code => Ok(Some(code)),
            },
        }
    }
}
