//! The state of one shard and the locks around it. Synchronous: no await can come between a check
//! and the change that it allows.
//!
//! Lock order: fence (read), then one chunk, then one session or the gate. The fence is write-locked
//! only to raise it; when that returns, no older caller is still inside.

mod apply;
mod counters;
mod held;
mod scratch;
mod snapshot;

pub use apply::{Error, Push};
pub use counters::Counters;
pub use held::{Error as StartError, Held, Origin, Start};
pub use snapshot::{InstallError, SnapshotError};

use dashmap::DashMap;
use parking_lot::{Mutex, RwLock};
use ps_core::fence::{self, Fence};
use ps_core::gate::{Gate, Member, Verdict};
use ps_core::ids::{Clock, Epoch, Incarnation, ShardId, WorkerId};
use ps_core::window::Window;
use ps_proto::convert::data::Puller;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;

/// What the shard remembers of one worker.
#[derive(Default)]
struct Session {
    incarnation: Incarnation,
    window: Window,
}

/// One shard of one job.
pub struct Shard {
    index: ShardId,
    dedup: bool,
    fence: RwLock<Fence>,
    /// The newest of the master's words: older ones are ignored.
    revision: Mutex<(Epoch, u64)>,
    held: OnceLock<Arc<Held>>,
    gate: Mutex<Gate>,
    gate_changed: watch::Sender<()>,
    sessions: DashMap<WorkerId, Arc<Mutex<Session>>>,
    counters: Counters,
    /// What encoded chunks are decoded into.
    scratches: scratch::Scratches,
}

/// Why a start is refused.
#[derive(Debug, thiserror::Error)]
#[error("the model differs from what the servers hold: {0}")]
pub struct OtherModel(pub String);

impl Shard {
    /// An empty shard. With a master, `lease` is `None`; without one, it is how long a silent
    /// worker counts as active.
    pub fn new(index: ShardId, lease: Option<Duration>, dedup: bool) -> Self {
        Self {
            index,
            dedup,
            fence: RwLock::new(Fence::new(lease.is_none())),
            revision: Mutex::new((0, 0)),
            held: OnceLock::new(),
            gate: Mutex::new(lease.map_or_else(Gate::managed, Gate::unmanaged)),
            gate_changed: watch::Sender::new(()),
            sessions: DashMap::new(),
            counters: Counters::default(),
            scratches: scratch::Scratches::default(),
        }
    }

    /// Which shard this is.
    pub fn index(&self) -> ShardId {
        self.index
    }

    /// The epoch it is in.
    pub fn epoch(&self) -> Epoch {
        self.fence.read().epoch()
    }

    /// What it counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Its part of the model, once it is initialised.
    pub fn held(&self) -> Option<&Arc<Held>> {
        self.held.get()
    }

    /// Compares a worker's idea of the model with what is held; `None`: nothing is held yet. A worker
    /// that takes any start gives no digest of its own, and what was restored goes on whatever a
    /// worker would start from.
    pub fn compare(
        &self,
        spec: &ps_core::model_spec::ModelSpec,
        start_digest: Option<u32>,
    ) -> Option<Result<(), OtherModel>> {
        let held = self.held.get()?;
        if let Some(difference) = spec.difference(&held.spec) {
            return Some(Err(OtherModel(difference)));
        }
        let other = |digest| matches!(held.origin, Origin::Start(own) if own != digest);
        if start_digest.is_some_and(other) {
            let message = "the start weights differ: do all workers use the same --seed?";
            return Some(Err(OtherModel(message.to_owned())));
        }
        Some(Ok(()))
    }

    /// Puts a complete start in place; a later one changes nothing.
    pub fn install(&self, held: Held) {
        let bound = held.spec.bound;
        let mut gate = self.gate.lock();
        if self.held.set(Arc::new(held)).is_ok() {
            gate.set_bound(bound);
        }
        drop(gate);
        self.gate_changed.send_replace(());
    }

    /// Whether a master says who may work with this shard.
    pub fn is_managed(&self) -> bool {
        self.fence.read().is_managed()
    }

    /// Takes the master's word that this is its epoch.
    ///
    /// # Errors
    /// The epoch is over.
    pub fn enter(&self, epoch: Epoch) -> Result<(), fence::Error> {
        self.fence.write().enter(epoch)
    }

    /// Whether a caller of this epoch may create the model.
    ///
    /// # Errors
    /// Its epoch is over, or the master has not told the shard of it yet.
    pub fn check_epoch(&self, epoch: Epoch) -> Result<(), fence::Error> {
        self.fence.read().check_epoch(epoch)
    }

    /// Takes the master's word about epoch, incarnations and who is active.
    ///
    /// # Errors
    /// The epoch is over.
    pub fn set_members(
        &self,
        epoch: Epoch,
        revision: u64,
        members: &[Member],
        now: Duration,
    ) -> Result<(), fence::Error> {
        let mut newest = self.revision.lock();
        let mut fence = self.fence.write();
        fence.enter(epoch)?;
        if (epoch, revision) <= *newest {
            return Ok(());
        }
        *newest = (epoch, revision);
        for member in members {
            if fence.raise(member.worker, member.incarnation) {
                self.forget(member.worker, member.incarnation);
            }
        }
        self.gate.lock().set_members(members, now);
        drop(fence);
        self.gate_changed.send_replace(());
        Ok(())
    }

    /// Without a master: a worker's sign of life. It also admits a newer incarnation.
    pub fn heard(&self, epoch: Epoch, worker: WorkerId, incarnation: Incarnation, now: Duration) {
        let would_admit = self.fence.read().would_admit(epoch, worker, incarnation);
        if would_admit {
            self.fence.write().admit(epoch, worker, incarnation);
            self.forget(worker, incarnation);
        }
        let fence = self.fence.read();
        let is_current = fence.check(fence.epoch(), worker, incarnation).is_ok();
        let mut changed = would_admit;
        if !fence.is_managed() && is_current {
            changed |= self.gate.lock().heard(worker, incarnation, now);
        }
        drop(fence);
        // Whoever waits at the gate must hear that it is active again, or was superseded.
        if changed {
            self.gate_changed.send_replace(());
        }
    }

    /// Without a master: a worker says goodbye. With one, the master says who is active.
    pub fn leave(&self, worker: WorkerId, incarnation: Incarnation) {
        if self.is_managed() {
            return;
        }
        self.gate.lock().leave(worker, incarnation);
        self.gate_changed.send_replace(());
    }

    /// Whether any worker is active.
    pub fn has_active_workers(&self, now: Duration) -> bool {
        self.gate.lock().has_active(now)
    }

    /// May this worker pull now?
    ///
    /// # Errors
    /// It is fenced. A worker that the master has not vouched for yet waits.
    pub fn check_gate(
        &self,
        epoch: Epoch,
        puller: &Puller,
        now: Duration,
    ) -> Result<Verdict, fence::Error> {
        match self.fence.read().check(epoch, puller.worker, puller.incarnation) {
            Ok(()) => (),
            Err(fence::Error::NotYetKnown { .. }) => return Ok(Verdict::Wait { until: None }),
            Err(stale) => {
                self.counters.calls_fenced.add(1);
                return Err(stale);
            }
        }
        let (worker, incarnation) = (puller.worker, puller.incarnation);
        let mut gate = self.gate.lock();
        let moved = gate.advance(worker, incarnation, puller.finished_clock);
        let verdict = gate.check(worker, incarnation, puller.clock, u64::from(puller.ahead), now);
        drop(gate);
        if moved {
            self.gate_changed.send_replace(());
        }
        Ok(verdict)
    }

    /// May the pull that comes with a push be answered while the push arrives? The clock that it may
    /// then use.
    pub fn check_gate_within_push(
        &self,
        push: &Push<'_>,
        puller: &Puller,
        now: Duration,
    ) -> Option<Clock> {
        let (worker, incarnation) = (puller.worker, puller.incarnation);
        let gate = self.gate.lock();
        let ahead = puller.ahead.into();
        gate.check_within_push(worker, incarnation, push.clock(), puller.clock, ahead, now)
    }

    /// Tells about every change that may open the gate.
    pub fn gate_changes(&self) -> watch::Receiver<()> {
        self.gate_changed.subscribe()
    }

    /// Drops what is remembered of a superseded incarnation; its unfinished pushes are torn.
    fn forget(&self, worker: WorkerId, incarnation: Incarnation) {
        let Some(session) = self.sessions.get(&worker).map(|entry| entry.value().clone()) else {
            return;
        };
        let mut session = session.lock();
        if session.incarnation < incarnation {
            self.counters.pushes_torn.add(session.window.unfinished());
            *session = Session { incarnation, window: Window::default() };
        }
    }

    fn session(&self, worker: WorkerId) -> Arc<Mutex<Session>> {
        self.sessions.entry(worker).or_default().clone()
    }
}
