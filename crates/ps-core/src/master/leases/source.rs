//! One set of samples: where its next lease begins, and which leases came back.

use crate::checkpoint::cursor::Positions;
use crate::data_description::DataKind;
use crate::ids::WorkerId;
use crate::master::types::{MemberId, Role};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Which set of samples: 0 is for every worker, `1 + rank` is that worker's own.
pub(in crate::master) type SourceId = u32;

/// All samples of a replicated job; what the evaluator serves in a sharded one.
pub(in crate::master) const SHARED: SourceId = 0;

/// The samples that only this worker has.
pub(in crate::master) fn own(rank: WorkerId) -> SourceId {
    rank.saturating_add(1)
}

/// The source that a member's samples are, if they are its own.
pub(in crate::master) fn source_of(member: MemberId, kind: DataKind) -> Option<SourceId> {
    match (member.role, kind) {
        (Role::Worker, DataKind::Replicated) => None,
        (Role::Worker, _) => Some(own(member.index)),
        // Those that stand by serve nothing.
        (Role::Evaluator, DataKind::Sharded) if member.index == 0 => Some(SHARED),
        (Role::Evaluator | Role::Server, _) => None,
    }
}

/// Who has the samples of a source that not everybody has.
pub(in crate::master) fn owner_of(source: SourceId) -> MemberId {
    source.checked_sub(1).map_or(MemberId::EVALUATOR, MemberId::worker)
}

/// Whose the samples are, in words.
pub(in crate::master) fn owner(source: SourceId) -> String {
    match source.checked_sub(1) {
        None => "all workers".to_owned(),
        Some(rank) => format!("worker {rank}"),
    }
}

/// Where in its passes a source is; compares across sources of different lengths.
#[derive(Clone, Copy, Debug)]
pub(super) struct PassPosition {
    pass: u64,
    position: u64,
    length: u64,
}

impl PassPosition {
    pub(super) fn is_before(&self, other: &Self) -> bool {
        let scaled = |position: u64, length: u64| u128::from(position) * u128::from(length);
        let (mine, others) =
            (scaled(self.position, other.length), scaled(other.position, self.length));
        (self.pass, mine) < (other.pass, others)
    }
}

/// One set of samples.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Source {
    /// Positions of a pass: its samples, or one where a lease is a whole pass.
    pub(super) length: u64,
    /// `None` where nobody knows (yet).
    pub(super) samples: Option<u64>,
    /// Whether one lease is a whole pass.
    pub(super) is_whole: bool,
    /// Positions of one lease.
    pub(super) size: u64,
    /// Where the next fresh lease begins: pass and position.
    pub(super) next: (u64, u64),
    pub(super) returned: BTreeSet<Positions>,
    /// Nobody can work on it at the moment.
    pub(super) is_suspended: bool,
    pub(super) samples_done: u64,
    pub(super) samples_skipped: u64,
}

impl Source {
    /// A source whose first pass is this one.
    pub(super) fn new(samples: Option<u64>, is_whole: bool, size: u64, pass: u64) -> Self {
        Self {
            length: if is_whole { 1 } else { samples.unwrap_or(0) },
            samples,
            is_whole,
            size: size.max(1),
            next: (pass, 0),
            ..Self::default()
        }
    }

    /// Where the next lease would begin; `None` when there is none.
    pub(super) fn position(&self, passes: u64) -> Option<PassPosition> {
        if self.is_suspended || self.length == 0 {
            return None;
        }
        let (pass, position) = match self.returned.first() {
            Some(positions) => (positions.pass, positions.start),
            None => self.next,
        };
        (pass < passes).then_some(PassPosition { pass, position, length: self.length })
    }

    /// The next lease: one that came back, or else a fresh one.
    pub(super) fn take(&mut self, passes: u64) -> Option<Positions> {
        self.position(passes)?;
        if let Some(positions) = self.returned.pop_first() {
            return Some(positions);
        }
        let (pass, start) = self.next;
        let end = start.saturating_add(self.size).min(self.length);
        self.next = if end == self.length { (pass + 1, 0) } else { (pass, end) };
        Some(Positions { pass, start, end })
    }

    /// Positions of a pass that are neither finished nor out.
    pub(super) fn left_of(&self, pass: u64) -> u64 {
        let (next, position) = self.next;
        let fresh = match next.cmp(&pass) {
            std::cmp::Ordering::Less => self.length,
            std::cmp::Ordering::Equal => self.length - position,
            std::cmp::Ordering::Greater => 0,
        };
        let came_back = self.returned.iter().filter(|positions| positions.pass == pass);
        fresh + came_back.map(Positions::count).sum::<u64>()
    }

    /// Gives up what is left of a pass, and of all before it; the samples skipped.
    pub(super) fn skip(&mut self, pass: u64) -> u64 {
        let from = self.returned.first().map_or(self.next.0, |positions| positions.pass);
        let left = (from..=pass).map(|pass| self.left_of(pass)).sum();
        let skipped = self.samples_in(left);
        self.returned.retain(|positions| positions.pass > pass);
        self.next = self.next.max((pass + 1, 0));
        self.samples_skipped = self.samples_skipped.saturating_add(skipped);
        skipped
    }

    /// Samples at so many positions, as far as is known.
    pub(super) fn samples_in(&self, positions: u64) -> u64 {
        if self.is_whole { self.samples.unwrap_or(0).saturating_mul(positions) } else { positions }
    }
}
