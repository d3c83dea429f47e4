//! What stood out, of all shards together.

use crate::chunk::NonFinite;
use crate::ids::{ChunkId, Clock, PushId, ShardId};
use crate::learning::LossJump;

/// A push as a journal has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReplayedPush {
    /// Which, of which worker.
    pub id: PushId,
    /// The step that it is part of.
    pub clock: Clock,
    /// Updates that its chunks had had since the weights that it was computed from; the most of any.
    pub staleness: u64,
    /// Mean loss of its batch; `None`: it was begun before what the journal stands on.
    pub loss: Option<f32>,
}

/// A push that stands out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StandingOut {
    /// On which shard.
    pub shard: ShardId,
    /// How many pushes of that shard came before it.
    pub place: u64,
    /// Which.
    pub push: ReplayedPush,
    /// Of the pushes in the weights that it was computed from, up to 64 of each chunk, the one that had changed them most, and
    /// by how much: the Euclidean distance. `None`: there is none in the journal.
    pub after: Option<(ReplayedPush, f64)>,
}

/// A push of which a chunk was refused: the gradient, or what it would have made of the weights, was not finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RefusedPush {
    /// Which.
    pub at: StandingOut,
    /// The first of its chunks that was refused.
    pub chunk: ChunkId,
    /// What was not finite.
    pub why: NonFinite,
}

/// A push with a loss that is far above those before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JumpedLoss {
    /// Which.
    pub at: StandingOut,
    /// What the loss was held against.
    pub jump: LossJump,
}

/// What stood out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Findings {
    /// The first push that would have made a weight NaN or infinite.
    pub refused: Option<RefusedPush>,
    /// The first push whose loss jumped.
    pub jump: Option<JumpedLoss>,
}

impl Findings {
    /// Adds what was found on another shard: of each kind stays what the fewest pushes came before.
    pub fn add(&mut self, other: Self) {
        let Self { refused, jump } = other;
        self.refused = earlier(self.refused, refused, |found| found.at);
        self.jump = earlier(self.jump, jump, |found| found.at);
    }
}

fn earlier<T>(one: Option<T>, other: Option<T>, at: impl Fn(&T) -> StandingOut) -> Option<T> {
    let place = |found: &T| (at(found).place, at(found).shard);
    one.into_iter().chain(other).min_by_key(place)
}
