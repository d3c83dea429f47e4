//! A push that stands out, while its chunks are read.

use super::changes::Change;
use super::{ReplayedPush, StandingOut};
use crate::ids::{PushId, ShardId};
use std::collections::BTreeMap;

/// A push that stands out.
pub(super) struct Case {
    pub(super) push: ReplayedPush,
    /// How many pushes of the shard came before it.
    place: u64,
    /// What the pushes had changed from whose weights it was computed: squares, summed over its chunks.
    changed: BTreeMap<PushId, (f64, ReplayedPush)>,
}

impl Case {
    pub(super) fn new(push: ReplayedPush, place: u64) -> Self {
        Self { push, place, changed: BTreeMap::new() }
    }

    pub(super) fn is_of(&self, id: &PushId) -> bool {
        self.push.id == *id
    }

    /// A chunk of it was computed from weights with these changes, and was so stale when it came.
    pub(super) fn computed_from<'c>(
        &mut self,
        changes: impl Iterator<Item = &'c Change>,
        staleness: u64,
    ) {
        self.push.staleness = self.push.staleness.max(staleness);
        for change in changes {
            let (squares, push) = self.changed.entry(change.push.id).or_insert((0.0, change.push));
            *squares += change.squares;
            push.staleness = push.staleness.max(change.push.staleness);
            push.loss = push.loss.or(change.push.loss);
        }
    }

    /// What is told of it. Of several that changed as much, the first in order of worker and number is.
    pub(super) fn finish(self, shard: ShardId) -> StandingOut {
        let mut largest: Option<(f64, ReplayedPush)> = None;
        for (squares, push) in self.changed.into_values() {
            if largest.is_none_or(|(most, _)| squares > most) {
                largest = Some((squares, push));
            }
        }
        let after = largest.map(|(squares, push)| (push, squares.sqrt()));
        StandingOut { shard, place: self.place, push: self.push, after }
    }
}
