//! Who did what, in which life of the job: the identities that every call carries.

use serde::{Deserialize, Serialize};

/// A worker's rank, 0-based. A replacement takes over the rank with a higher incarnation.
pub type WorkerId = u32;

/// A server's number, 0-based: which part of the model it holds.
pub type ShardId = u32;

/// A chunk's number in the whole model, 0-based, in the order of the elements.
pub type ChunkId = u32;

/// A job's life: from one start of its master to the next. Only ever grows; whatever is of an earlier
/// one is fenced. Epochs and incarnations of a life start at its number, so that none of an earlier
/// life is as high.
pub type Life = u64;

/// Lives lie at least so far apart: epochs and incarnations that a life may have reached unseen by
/// what the next one starts from.
pub const LIFE_DISTANCE: Life = 1 << 20;

/// Generation of the shard map, the servers and the master. Only ever grows; an older one is fenced.
pub type Epoch = u64;

/// Generation of one worker. Only ever grows; an older one is fenced.
pub type Incarnation = u64;

/// A worker's step count: its step `t` pulls at clock `t` and pushes at clock `t`.
pub type Clock = u64;

/// How many updates a chunk has had.
pub type Version = u64;

/// A worker's push counter within one incarnation.
pub type Seq = u64;

/// The identity of one push: the same on every retry and in every epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PushId {
    /// Who pushes.
    pub worker: WorkerId,
    /// In which of its lives.
    pub incarnation: Incarnation,
    /// Which of its pushes.
    pub seq: Seq,
}

impl std::fmt::Display for PushId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "worker {} incarnation {} push {}", self.worker, self.incarnation, self.seq)
    }
}
