//! A shard's part of a cut: what all shards held at one moment, copied while pushes go on.
//!
//! Which pushes are in a cut is the same on all shards: of each worker those below a number. Each shard says which it
//! has begun (`prepare_cut`), and begins no others until it hears which ones any shard has begun (`open_cut`): those are
//! in the cut. So whatever a push in the cut was computed from is in it, too: nothing that is not in it was
//! applied anywhere before all shards had said what they have (Mattern, "Efficient Algorithms for Distributed
//! Snapshots", 1993, with the master's word in place of colours).
//!
//! From then on a chunk has two generations. What is not in the cut leaves the chunk as it was before it, for
//! the copy; what is in it, and came late, is applied to both.

mod kept;
mod state;

pub(super) use state::{Cutting, Generation};

use super::{CopiedShard, CopyError, ModelShard, Shard};
use crate::checkpoint::Remembered;
use crate::chunk::ChunkSnapshot;
use crate::fence;
use crate::ids::{ChunkId, Epoch, Incarnation, PushId, Seq, ShardId, WorkerId};
use crate::model_spec::ModelSpec;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Which cut: the epoch, the checkpoint's number, and which attempt at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CutId {
    /// Of the master that wants it.
    pub epoch: Epoch,
    /// Of the checkpoint.
    pub number: u64,
    /// From 1: the shards may not all have heard of the one before in time.
    pub attempt: u32,
}

/// Which of a worker's pushes are in a cut: those of this incarnation below the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CutEnd {
    /// What earlier ones left unfinished is torn.
    pub incarnation: Incarnation,
    /// The first push that is not in it.
    pub seq: Seq,
}

/// Which pushes are in a cut. Nothing is of a worker that is not named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CutEnds(pub BTreeMap<WorkerId, CutEnd>);

impl CutEnds {
    /// Whether a push is in it.
    pub fn contains(&self, id: &PushId) -> bool {
        self.0
            .get(&id.worker)
            .is_some_and(|end| (id.incarnation, id.seq) < (end.incarnation, end.seq))
    }

    /// Takes what is in any of the two.
    pub fn extend(&mut self, other: &Self) {
        for (worker, end) in &other.0 {
            let own = self.0.entry(*worker).or_default();
            *own = (*own).max(*end);
        }
    }

    /// Whether all that is in it is in the other, too.
    fn is_within(&self, other: &Self) -> bool {
        self.0.iter().all(|(worker, end)| other.0.get(worker).is_some_and(|other| end <= other))
    }
}

/// A cut that is open: while it exists, chunks have two generations.
pub struct ShardCut<'a> {
    shard: &'a Shard,
    model: Arc<ModelShard>,
    id: CutId,
    ends: CutEnds,
    next: usize,
}

impl Shard {
    /// Which pushes are begun here. No others are begun until the cut is open, or that does not come in time.
    ///
    /// # Errors
    /// The epoch is over, nothing is held, or this cut was opened already. One of before is given up.
    pub fn prepare_cut(
        &self,
        id: CutId,
        now: Duration,
        held_for: Duration,
    ) -> Result<CutEnds, CopyError> {
        self.enter(id.epoch, 0)?;
        self.model().ok_or(CopyError::Empty(self.index))?;
        // Who begins a push has the fence for reading.
        let _fence = self.fence.write();
        let mut ends = CutEnds::default();
        for (worker, session) in self.all_sessions() {
            let session = session.lock();
            let (incarnation, seq) = (session.incarnation, session.window.end());
            ends.0.insert(worker, CutEnd { incarnation, seq });
        }
        match self.cutting.prepare(id, ends.clone(), now + held_for) {
            true => Ok(ends),
            false => Err(CopyError::Over { shard: self.index, number: id.number }),
        }
    }

    /// Opens the cut that was prepared: these pushes are in it. What of it waits in memory beside the shard has about so many
    /// bytes; when it has, pushes that are not in the cut wait.
    ///
    /// # Errors
    /// The epoch is over, or it was not prepared, or too long ago.
    pub fn open_cut(
        &self,
        id: CutId,
        ends: CutEnds,
        now: Duration,
        kept_bytes_max: usize,
    ) -> Result<ShardCut<'_>, CopyError> {
        self.enter(id.epoch, 0)?;
        let model = self.model().ok_or(CopyError::Empty(self.index))?.clone();
        let fence = self.fence.write();
        let windows = self.all_sessions().into_iter().filter_map(|(worker, session)| {
            let session = session.lock();
            let end = ends.0.get(&worker)?;
            (session.incarnation <= end.incarnation)
                .then(|| (worker, (session.incarnation, session.window.clone())))
        });
        let is_open = self.cutting.open(id, &ends, windows.collect(), now, kept_bytes_max);
        drop(fence);
        // Who waited to begin a push may.
        (self.notify_gate)();
        let shard = self;
        match is_open {
            true => Ok(ShardCut { shard, model, id, ends, next: 0 }),
            false => Err(CopyError::NotPrepared { shard: self.index, number: id.number }),
        }
    }

    /// Gives up the cut that is open, if there is one: whoever writes it fails, and pushes need no more memory.
    pub fn give_up_cut(&self) {
        self.cutting.give_up();
        (self.notify_gate)();
    }

    /// Whether what a push changes of these chunks can be kept as it was, where a cut needs it.
    pub fn cut_has_room(&self, id: &PushId, first: ChunkId, chunks: u32) -> bool {
        let Some(model) = self.model().filter(|_| self.cutting.is_begun()) else { return true };
        let Some(index) = model.index(first) else { return true };
        self.cutting.has_room(id, index..index + chunks.max(1) as usize)
    }
}

impl ShardCut<'_> {
    /// The workers of which pushes that are in the cut are still missing here. Not those that are shut out: what those
    /// left is torn.
    pub fn late(&self) -> Vec<WorkerId> {
        let fence = self.shard.fence.read();
        let is_late = |(worker, end): &(&WorkerId, &CutEnd)| {
            let CutEnd { incarnation, seq } = **end;
            let epoch = fence.epoch();
            if let Err(fence::Error::StaleIncarnation { .. }) =
                fence.check(epoch, **worker, incarnation)
            {
                return false;
            }
            let session = self.shard.sessions.get(*worker).map(|session| session.value().clone());
            !session.is_some_and(|session| {
                let session = session.lock();
                session.incarnation == incarnation && session.window.are_done_before(seq)
            })
        };
        let ends = self.ends.0.iter().filter(|(_, end)| end.seq > 0);
        ends.filter(is_late).map(|(worker, _)| *worker).collect()
    }

    /// Whether it was not given up, and its epoch goes on.
    pub fn is_open(&self) -> bool {
        self.shard.cutting.is_open(self.id) && self.shard.epoch() <= self.id.epoch
    }

    /// Chunks of pushes that came late, so far.
    pub fn came_late(&self) -> u64 {
        self.shard.cutting.came_late(self.id)
    }

    /// Why it is not written.
    pub fn given_up(&self) -> CopyError {
        CopyError::GivenUp { shard: self.shard.index, number: self.id.number }
    }

    /// Pushes of which a part only is in the cut: those that are missing when nobody waits for them any more.
    pub fn torn(&self) -> Vec<PushId> {
        self.shard.cutting.torn(self.id)
    }
}

impl CopiedShard for ShardCut<'_> {
    fn shard(&self) -> ShardId {
        self.shard.index
    }

    fn spec(&self) -> &ModelSpec {
        &self.model.spec
    }

    fn next(&mut self, into: &mut ChunkSnapshot) -> Result<Option<ChunkId>, CopyError> {
        let current = self.shard.epoch();
        if current > self.id.epoch {
            return Err(fence::Error::StaleEpoch { current }.into());
        }
        let chunks = self.model.chunks();
        let Some(index) = self.shard.cutting.next(self.next, chunks.len()) else {
            return Ok(None);
        };
        let Some(chunk) = chunks.get(index) else { return Err(self.given_up()) };
        let chunk = chunk.lock();
        let copied = self.shard.cutting.copied(self.id, index);
        let (kept, was_full) = copied.ok_or_else(|| self.given_up())?;
        match kept {
            Some(kept) => {
                drop(chunk);
                kept.copy_into(into);
            }
            None => chunk.copy_into(into),
        }
        if was_full {
            (self.shard.notify_gate)();
        }
        if index == self.next {
            self.next += 1;
        }
        Ok(Some(self.model.id(index)))
    }

    fn is_waited_for(&self) -> bool {
        self.shard.cutting.is_filling()
    }

    fn finish(self) -> Result<Remembered, CopyError> {
        let first = self.model.id(0);
        let windows = self.shard.cutting.windows(self.id).ok_or_else(|| self.given_up())?;
        let sessions = windows.into_iter().map(|(worker, (incarnation, window))| {
            (worker, (incarnation, window.to_snapshot(first)))
        });
        Ok(Remembered { sessions: sessions.collect(), torn: 0 })
    }
}

impl Drop for ShardCut<'_> {
    fn drop(&mut self) {
        self.shard.cutting.end(self.id);
        (self.shard.notify_gate)();
    }
}

#[cfg(test)]
mod tests;
