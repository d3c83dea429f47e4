//! What the pushes of a replayed journal did: which one was the first that could not be applied, because a value would not
//! have been finite, and which one had the first loss that jumped.
//!
//! Each shard's journal is read by itself, in its order; what is found on several shards is told by the one on which the
//! fewest pushes came before it. Who computes on weights that went wrong is not who made them so: what is found names, too,
//! of the pushes in those weights the one that had changed them most.
//!
//! - `pushes`: the pushes that may still be sent again. `changes`: how much each had changed a chunk.
//! - `case`: a push that stands out. `findings`: of all shards together.

mod case;
mod changes;
mod findings;
mod pushes;
#[cfg(test)]
mod tests;

pub use findings::{Findings, JumpedLoss, RefusedPush, ReplayedPush, StandingOut};

use crate::chunk::{NonFinite, SharedWeights};
use crate::ids::ChunkId;
use crate::journal::{ChunkRecord, ChunkResult, PushRecord, Record};
use crate::learning::{JumpWatch, LossJump};
use crate::shard::{ModelShard, ReplayError, Shard};
use case::Case;
use changes::{Change, RecentChanges};
use pushes::Pushes;
use std::sync::Arc;

/// What a shard's journal had replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayCounts {
    /// Pushes that were begun, each once.
    pub pushes: u64,
    /// Chunks of them that changed the shard.
    pub chunks: u64,
    /// Chunks of them that were refused.
    pub refused: u64,
}

/// Replays a shard's journal, record by record, and takes notice of its pushes.
pub struct ReplayedShard<'s> {
    shard: &'s Shard,
    model: Arc<ModelShard>,
    counts: ReplayCounts,
    pushes: Pushes,
    /// By chunk of the shard.
    changes: Vec<RecentChanges>,
    losses: JumpWatch,
    jump: Option<(Case, LossJump)>,
    refused: Option<(Case, ChunkId, NonFinite)>,
}

impl<'s> ReplayedShard<'s> {
    /// For a shard that holds what its journal stands on; `None`: it holds nothing.
    pub fn new(shard: &'s Shard) -> Option<Self> {
        let model = shard.model()?.clone();
        let changes = model.chunks().iter().map(|_| RecentChanges::default()).collect();
        Some(Self {
            shard,
            model,
            counts: ReplayCounts::default(),
            pushes: Pushes::default(),
            changes,
            losses: JumpWatch::default(),
            jump: None,
            refused: None,
        })
    }

    /// Has happen again what is written down.
    ///
    /// # Errors
    /// It cannot have happened to this shard, or something before it is missing.
    pub fn take(&mut self, record: &Record<'_>) -> Result<(), ReplayError> {
        match record {
            Record::Push(push) => {
                self.shard.replay(record)?;
                self.begun(push);
                Ok(())
            }
            Record::Chunk(chunk) => self.chunk(chunk, record),
            Record::Fence(_) => self.shard.replay(record),
        }
    }

    fn begun(&mut self, push: &PushRecord) {
        let place = self.counts.pushes;
        if !self.pushes.begin(push, place) {
            return;
        }
        self.counts.pushes += 1;
        // A step's loss is said by each of its pushes.
        if !push.ends_step || self.jump.is_some() {
            return;
        }
        if let Some(jump) = self.losses.observe(f64::from(push.loss)) {
            // Its own clock; the record has the one after it.
            let clock = push.clock_after.saturating_sub(1);
            let push = ReplayedPush { id: push.id, clock, staleness: 0, loss: Some(push.loss) };
            self.jump = Some((Case::new(push, place), jump));
        }
    }

    fn chunk(&mut self, chunk: &ChunkRecord<'_>, record: &Record<'_>) -> Result<(), ReplayError> {
        let index = self.model.index(chunk.chunk);
        // Kept as it is while the update goes to other memory.
        let before = index.map(|index| self.held(index));
        self.shard.replay(record)?;
        let (Some(index), Some((held, weights))) = (index, before) else { return Ok(()) };
        let (place, loss) = self.pushes.find(&chunk.id);
        let staleness_of = |version: u64| version.saturating_sub(chunk.pulled_version);
        let staleness = match chunk.result {
            ChunkResult::Applied(version) => staleness_of(version.saturating_sub(1)),
            ChunkResult::Refused(_) => staleness_of(held),
        };
        let push = ReplayedPush { id: chunk.id, clock: chunk.clock, staleness, loss };
        if let ChunkResult::Refused(why) = chunk.result {
            self.counts.refused += 1;
            let case = || (Case::new(push, place), chunk.chunk, why);
            self.refused.get_or_insert_with(case);
        }
        let recent = &self.changes[index];
        let refused = self.refused.as_mut().map(|(case, ..)| case);
        let jumped = self.jump.as_mut().map(|(case, _)| case);
        let cases = refused.into_iter().chain(jumped).filter(|case| case.is_of(&chunk.id));
        cases.for_each(|case| case.computed_from(recent.until(chunk.pulled_version), staleness));
        if let ChunkResult::Applied(version) = chunk.result
            && version > held
        {
            self.counts.chunks += 1;
            let (_, now) = self.held(index);
            let squares = squared_distance(&weights, &now);
            self.changes[index].add(Change { version, squares, push });
        }
        Ok(())
    }

    fn held(&self, index: usize) -> (u64, SharedWeights) {
        let chunk = self.model.chunks()[index].lock();
        (chunk.version(), chunk.shared_weights())
    }

    /// What was replayed, and what stood out on this shard.
    pub fn finish(self) -> (ReplayCounts, Findings) {
        let shard = self.shard.index();
        let refused = self.refused;
        let refused =
            refused.map(|(case, chunk, why)| RefusedPush { at: case.finish(shard), chunk, why });
        let jump = self.jump.map(|(case, jump)| JumpedLoss { at: case.finish(shard), jump });
        (self.counts, Findings { refused, jump })
    }
}

/// The squared Euclidean distance of the weights.
fn squared_distance(before: &SharedWeights, now: &SharedWeights) -> f64 {
    let [before, now]: [&[f32]; 2] = [before, now].map(|it| bytemuck::cast_slice(it.as_ref()));
    let pairs = before.iter().zip(now);
    pairs.map(|(before, now)| (f64::from(*now) - f64::from(*before)).powi(2)).sum()
}
