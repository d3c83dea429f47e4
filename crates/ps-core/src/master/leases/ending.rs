//! When a pass is over, and sources that nobody can work on for a while.

use super::{Leases, SHARED, SourceId};
use crate::learning::Losses;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A pass that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::master) struct PassEnd {
    /// From 0.
    pub(in crate::master) pass: u64,
    pub(in crate::master) losses: Losses,
    /// Samples that nobody could do because their owner was away, by source.
    pub(in crate::master) skipped: BTreeMap<SourceId, u64>,
}

impl Leases {
    /// Nobody can work on this source for now: what is left of it does not hold a pass any more.
    /// Whether there is anything left of it.
    pub(in crate::master) fn suspend(&mut self, source: SourceId) -> bool {
        let passes = self.passes;
        let Some(source) = self.sources.get_mut(&source) else {
            return false;
        };
        let has_rest = source.position(passes).is_some();
        source.is_suspended = true;
        self.end_passes();
        has_rest
    }

    /// Somebody can work on this source again. What was skipped meanwhile stays skipped: it goes on
    /// at the oldest pass that is not over.
    pub(in crate::master) fn revive(&mut self, source: SourceId) {
        if let Some(source) = self.sources.get_mut(&source) {
            source.is_suspended = false;
            self.end_passes();
        }
    }

    /// Passes that ended since the last call, in order.
    pub(in crate::master) fn take_ended(&mut self) -> Vec<PassEnd> {
        std::mem::take(&mut self.ended)
    }

    /// Whether every pass is over.
    pub(in crate::master) fn are_done(&self) -> bool {
        self.open >= self.passes && self.out.is_empty() && !self.sources.is_empty()
    }

    /// Ends the oldest passes that nothing holds.
    pub(super) fn end_passes(&mut self) {
        while self.open < self.passes && self.is_over(self.open) {
            let pass = self.open;
            let mut skipped = BTreeMap::new();
            for (id, source) in &mut self.sources {
                let samples = source.skip(pass);
                if samples > 0 {
                    skipped.insert(*id, samples);
                }
            }
            let losses = self.losses.remove(&pass).unwrap_or_default();
            self.ended.push(PassEnd { pass, losses, skipped });
            self.open += 1;
        }
    }

    /// Every source's part of it is done, or its owner is away. While all owners are away nothing
    /// ends: the job waits for one of them, or fails.
    fn is_over(&self, pass: u64) -> bool {
        let mut owned = self.sources.iter().filter(|(id, _)| **id != SHARED).peekable();
        let somebody = owned.peek().is_none() || owned.any(|(_, source)| !source.is_suspended);
        let mut out = self.out.values().map(|lease| lease.positions.pass);
        let mut sources = self.sources.values();
        somebody
            && !self.sources.is_empty()
            && !out.any(|held| held <= pass)
            && sources.all(|source| source.is_suspended || source.left_of(pass) == 0)
    }
}
