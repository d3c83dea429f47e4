//! A shard's copy for what its journal stands on, taken while pushes go on: one chunk after another, each under its
//! own lock alone, and no chunk is in memory twice. For checkpoints see `cut`.
//!
//! The copy is fuzzy: a push that arrives meanwhile may be in the copy of one chunk and not in that of
//! another, which was copied before. So while a shard is copied it is written down of each push which
//! chunks were copied before it came: the dedup windows that belong to the copy say of each chunk what is
//! in it, not what is in the shard. A push is whole in the copy, absent, or torn and counted.

mod record;

pub(super) use record::Copying;

use super::{ModelShard, Shard};
use crate::checkpoint::{Remembered, Sessions};
use crate::chunk::ChunkSnapshot;
use crate::fence;
use crate::ids::{ChunkId, ShardId, WorkerId};
use crate::model_spec::ModelSpec;
use std::sync::Arc;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum CopyError {
    #[error(transparent)]
    Fenced(#[from] fence::Error),
    #[error("shard {0} holds no model yet: there is nothing to save")]
    Empty(ShardId),
    #[error("shard {0} is being copied already: it is written whole once at a time")]
    Busy(ShardId),
    #[error(
        "shard {shard} has given checkpoint {number} up: pushes waited too long for --cut-memory, or another attempt \
         began"
    )]
    GivenUp { shard: ShardId, number: u64 },
    #[error("shard {shard} was told already to write checkpoint {number}, or a later one")]
    Over { shard: ShardId, number: u64 },
    #[error(
        "shard {shard} was not asked for checkpoint {number} in time, or other pushes were begun since: ask all \
         shards again"
    )]
    NotPrepared { shard: ShardId, number: u64 },
}

/// A copy of a shard that is being taken, one chunk after another.
pub trait CopiedShard {
    /// The shard that is copied.
    fn shard(&self) -> ShardId;

    /// The model that is copied.
    fn spec(&self) -> &ModelSpec;

    /// Copies the next chunk into this memory; `None` after the last.
    ///
    /// # Errors
    /// The epoch is over: nobody waits for the copy any more.
    fn next(&mut self, into: &mut ChunkSnapshot) -> Result<Option<ChunkId>, CopyError>;

    /// Whether pushes wait for the memory of what is still to be copied, or will soon.
    fn is_waited_for(&self) -> bool {
        false
    }

    /// What the shard remembered of the pushes that are in the copy.
    ///
    /// # Errors
    /// As of [`CopiedShard::next`].
    fn finish(self) -> Result<Remembered, CopyError>;
}

/// A copy that is being taken. While it exists, pushes are written down.
pub struct ShardCopy<'a> {
    shard: &'a Shard,
    model: Arc<ModelShard>,
    next: usize,
}

impl Shard {
    /// Begins a copy.
    ///
    /// # Errors
    /// Nothing is held, or another copy is being taken.
    pub fn begin_copy(&self) -> Result<ShardCopy<'_>, CopyError> {
        let model = self.model().ok_or(CopyError::Empty(self.index))?.clone();
        if !self.copying.begin() {
            return Err(CopyError::Busy(self.index));
        }
        let copy = ShardCopy { shard: self, model, next: 0 };
        // From now on pushes are written down; what they had done before, they are asked for.
        for (worker, session) in self.all_sessions() {
            let session = session.lock();
            for (seq, done) in session.window.in_work() {
                self.copying.was_done(session.id(worker, seq), done);
            }
        }
        Ok(copy)
    }
}

impl CopiedShard for ShardCopy<'_> {
    fn shard(&self) -> ShardId {
        self.shard.index
    }

    fn spec(&self) -> &ModelSpec {
        &self.model.spec
    }

    fn next(&mut self, into: &mut ChunkSnapshot) -> Result<Option<ChunkId>, CopyError> {
        let Some(chunk) = self.model.chunks().get(self.next) else {
            return Ok(None);
        };
        self.forget_what_is_over();
        let chunk = chunk.lock();
        chunk.copy_into(into);
        self.shard.copying.copied(self.next);
        drop(chunk);
        self.next += 1;
        Ok(Some(self.model.id(self.next - 1)))
    }

    fn finish(self) -> Result<Remembered, CopyError> {
        let first = self.model.id(0);
        let mut sessions = Sessions::new();
        for (worker, session) in self.shard.all_sessions() {
            let session = session.lock();
            let mut window = session.window.to_snapshot(first);
            self.shard.copying.amend(worker, session.incarnation, &mut window, first);
            sessions.insert(worker, (session.incarnation, window));
        }
        Ok(Remembered { sessions, torn: self.shard.copying.torn() })
    }
}

impl ShardCopy<'_> {
    /// Keeps what is written down in bounds: of pushes that nobody sends again only a count.
    fn forget_what_is_over(&self) {
        if self.shard.copying.is_large() {
            let over = |worker: WorkerId| {
                let session = self.shard.sessions.get(&worker)?.clone();
                let session = session.lock();
                Some((session.incarnation, session.window.floor()))
            };
            self.shard.copying.forget(over);
        }
    }
}

impl Drop for ShardCopy<'_> {
    fn drop(&mut self) {
        self.shard.copying.end();
    }
}

#[cfg(test)]
pub(super) mod tests;
