//! The state of one shard and the locks around it. Synchronous: no await can come between a check
//! and the change that it allows.
//!
//! Lock order: fence (read), then one chunk, then one session or the gate, then what is written down for a
//! copy or a cut. The fence is write-locked to raise it, and when that returns, no older caller is still inside;
//! and to put in place the whole shard.
//!
//! - `push`: a push, applied exactly once; `header` and `error`: what it says and why it is refused.
//! - `membership`: who may push and pull, and who waits.
//! - `initial`, `restore`: where the shard's part of the model comes from.
//! - `copy`: a copy of it, taken while pushes go on; `cut`: one that is of the same moment as those of other shards.
//! - `journalled`: what is written down of what happens to it; `replay`: it is made again from that.

mod copy;
mod counters;
mod cut;
mod error;
mod header;
mod initial;
mod journalled;
mod membership;
mod model;
mod push;
mod replay;
mod restore;
mod run;
mod scratch;

pub use crate::model_spec::Origin;
pub use copy::{CopiedShard, CopyError, ShardCopy};
pub use counters::{Count, Counters, WorkerCounts};
pub use cut::{CutEnd, CutEnds, CutId, ShardCut};
pub use error::Error;
pub use header::{EncodedRun, Puller, PushHeader};
pub use initial::{Error as InitError, InitialWeights};
pub use model::ModelShard;
pub use push::Push;
pub use replay::ReplayError;
pub use restore::InstallError;

use crate::fence::Fence;
use crate::gate::Gate;
use crate::ids::{Epoch, Incarnation, PushId, Seq, ShardId, WorkerId};
use crate::journal::Append;
use crate::model_spec::ModelSpec;
use crate::window::Window;
use dashmap::DashMap;
use parking_lot::{Mutex, RwLock};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What the shard remembers of one worker.
#[derive(Default)]
struct Session {
    incarnation: Incarnation,
    window: Window,
    /// Of all incarnations.
    counts: WorkerCounts,
}

impl Session {
    /// The identity of one of its pushes.
    fn id(&self, worker: WorkerId, seq: Seq) -> PushId {
        PushId { worker, incarnation: self.incarnation, seq }
    }
}

/// Tells whoever waits at the gate that it may be open now.
pub type GateNotifier = Box<dyn Fn() + Send + Sync>;

/// What a shard checks beside what is malformed. All of it, but in tests that show what each is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guards {
    /// No chunk of a push is applied twice.
    pub dedup: bool,
    /// Nobody of an earlier life of the job pushes.
    pub lives: bool,
    /// No step ends before all of its pushes are applied.
    pub steps: bool,
    /// Who is shut out is written down.
    pub fences: bool,
    /// A shard that is made again knows which pushes it has.
    pub windows: bool,
}

impl Guards {
    /// All of them.
    pub const ALL: Self =
        Self { dedup: true, lives: true, steps: true, fences: true, windows: true };
}

/// One shard of one job.
pub struct Shard {
    index: ShardId,
    guards: Guards,
    fence: RwLock<Fence>,
    /// The newest of the master's words: older ones are ignored.
    revision: Mutex<(Epoch, u64)>,
    model: OnceLock<Arc<ModelShard>>,
    gate: Mutex<Gate>,
    notify_gate: GateNotifier,
    sessions: DashMap<WorkerId, Arc<Mutex<Session>>>,
    counters: Counters,
    /// What encoded chunks are decoded into.
    scratch: scratch::ScratchPool,
    copying: copy::Copying,
    cutting: cut::Cutting,
    /// Where is written down what happens to it.
    journal: Option<Arc<dyn Append>>,
    /// Whether it was made again from that.
    is_recovered: AtomicBool,
}

/// Why a start is refused.
#[derive(Debug, thiserror::Error)]
#[error("the model differs from what the servers hold: {0}")]
pub struct OtherModel(pub String);

impl Shard {
    /// An empty shard. With a master, `lease` is `None`; without one, it is how long a silent
    /// worker counts as active. `notify_gate` is called after every change that may open the gate,
    /// perhaps with a lock held: it must not call back.
    pub fn new(
        index: ShardId,
        lease: Option<Duration>,
        guards: Guards,
        notify_gate: GateNotifier,
    ) -> Self {
        Self {
            index,
            guards,
            fence: RwLock::new(Fence::new(lease.is_none())),
            revision: Mutex::new((0, 0)),
            model: OnceLock::new(),
            gate: Mutex::new(lease.map_or_else(Gate::managed, Gate::unmanaged)),
            notify_gate,
            sessions: DashMap::new(),
            counters: Counters::default(),
            scratch: scratch::ScratchPool::default(),
            copying: copy::Copying::default(),
            cutting: cut::Cutting::default(),
            journal: None,
            is_recovered: AtomicBool::new(false),
        }
    }

    /// The same, and what happens to it from now on is written down here.
    #[must_use]
    pub fn with_journal(self, journal: Arc<dyn Append>) -> Self {
        Self { journal: Some(journal), ..self }
    }

    /// Which shard this is.
    pub fn index(&self) -> ShardId {
        self.index
    }

    /// What it counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Its part of the model, once it is initialised.
    pub fn model(&self) -> Option<&Arc<ModelShard>> {
        self.model.get()
    }

    /// Compares a worker's idea of the model with what is held; `None`: nothing is held yet. A worker
    /// that takes any start gives no digest of its own, and what was restored goes on whatever a
    /// worker would start from.
    pub fn compare(
        &self,
        spec: &ModelSpec,
        start_digest: Option<u32>,
    ) -> Option<Result<(), OtherModel>> {
        let model = self.model.get()?;
        if let Some(difference) = spec.difference(&model.spec) {
            return Some(Err(OtherModel(difference)));
        }
        let differs = |digest| matches!(model.origin, Origin::Start(own) if own != digest);
        if start_digest.is_some_and(differs) {
            let message = "the start weights differ: do all workers use the same --seed?";
            return Some(Err(OtherModel(message.to_owned())));
        }
        Some(Ok(()))
    }

    /// What each worker has done here since this process started.
    pub fn worker_counts(&self) -> Vec<(WorkerId, WorkerCounts)> {
        let sessions = self.all_sessions().into_iter();
        let mut counts: Vec<_> =
            sessions.map(|(id, session)| (id, session.lock().counts)).collect();
        counts.sort_unstable_by_key(|(id, _)| *id);
        counts
    }

    /// The sessions that there are, without a lock of any.
    fn all_sessions(&self) -> Vec<(WorkerId, Arc<Mutex<Session>>)> {
        self.sessions.iter().map(|entry| (*entry.key(), entry.value().clone())).collect()
    }

    /// Puts a complete start in place; a later one changes nothing.
    pub fn install(&self, model: ModelShard) {
        let bound = model.spec.bound;
        let mut gate = self.gate.lock();
        if self.model.set(Arc::new(model)).is_ok() {
            gate.set_bound(bound);
        }
        drop(gate);
        (self.notify_gate)();
    }
}

#[cfg(test)]
mod tests;
