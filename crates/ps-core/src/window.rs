//! The dedup window: what a shard remembers of one worker's pushes, so that none is applied twice.
//!
//! Completion records as in RIFL (Lee et al., SOSP 2015), per chunk. The window holds the pushes
//! from the oldest that the worker may still retry; below it a push is stale, never new.

mod snapshot;

pub use snapshot::{PushSnapshot, WindowSnapshot};

use crate::chunk::NonFinite;
use crate::chunk_set::ChunkSet;
use crate::ids::{Clock, Seq};
use crate::limits::DEDUP_WINDOW;
use std::collections::VecDeque;

/// Why a push is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    /// Finished or given up long ago.
    #[error(
        "push {seq} is below the dedup window, which starts at {floor}: it was finished or given up"
    )]
    Stale { seq: Seq, floor: Seq },
    /// The worker left more pushes unacknowledged than it may.
    #[error(
        "push {seq}: the window from {floor} holds {DEDUP_WINDOW} pushes; wait for acknowledgements"
    )]
    Full { seq: Seq, floor: Seq },
    /// A retry differs from the first attempt.
    #[error(
        "push {seq}: {found} chunks, expected {expected} as in the first attempt: a retry must repeat the push"
    )]
    Changed { seq: Seq, expected: u32, found: u32 },
}

/// What a finished push is answered with, now and on every retry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Chunks that were refused, and why.
    pub refused: Vec<(u32, NonFinite)>,
    /// Largest staleness over the applied chunks.
    pub staleness_max: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    /// The worker's clock once this push and all before it are applied.
    clock_after: Clock,
    chunks_total: u32,
    chunks_done: u32,
    /// Chunks of the shard that are applied or refused. Dropped once the push is finished.
    done: ChunkSet,
    acknowledgement: Acknowledgement,
}

impl Entry {
    fn is_finished(&self) -> bool {
        self.chunks_done == self.chunks_total
    }

    fn is_torn(&self) -> bool {
        !self.is_finished() && self.chunks_done > 0
    }
}

/// One worker incarnation's pushes on one shard.
#[derive(Clone, Debug, Default)]
pub struct Window {
    floor: Seq,
    /// All pushes below it are finished or given up, and counted in `clock`.
    contiguous: Seq,
    /// Steps whose pushes are applied here, counted without gaps.
    clock: Clock,
    /// From the floor on, one place for each number; empty where no push was begun.
    entries: VecDeque<Option<Entry>>,
    /// Pushes that the worker gave up when a part of them was applied, and that nobody was told of yet.
    given_up: u64,
}

impl Window {
    /// Opens a push or meets it again; `oldest` is the oldest push the worker may still retry, and
    /// `clock_after` the worker's clock once this push and all before it are applied.
    ///
    /// # Errors
    /// The push is stale, too far ahead, or not the one that was first sent under this number.
    pub fn begin(
        &mut self,
        seq: Seq,
        oldest: Seq,
        clock_after: Clock,
        chunks_total: u32,
    ) -> Result<(), Error> {
        self.raise_floor(oldest.min(seq));
        let floor = self.floor;
        if seq < floor {
            return Err(Error::Stale { seq, floor });
        }
        if seq - floor >= DEDUP_WINDOW {
            return Err(Error::Full { seq, floor });
        }
        let entry = self.place(seq).get_or_insert_with(|| Entry {
            clock_after,
            chunks_total,
            chunks_done: 0,
            done: ChunkSet::default(),
            acknowledgement: Acknowledgement::default(),
        });
        if entry.chunks_total != chunks_total {
            let expected = entry.chunks_total;
            return Err(Error::Changed { seq, expected, found: chunks_total });
        }
        self.advance();
        Ok(())
    }

    /// Whether the push was begun, and is not forgotten yet.
    pub fn is_begun(&self, seq: Seq) -> bool {
        self.entry(seq).is_some()
    }

    /// Whether this chunk of the push is applied or refused already, or the push is forgotten.
    pub fn is_done(&self, seq: Seq, chunk: u32) -> bool {
        let Some(entry) = self.entry(seq) else {
            return true;
        };
        entry.is_finished() || entry.done.contains(chunk as usize)
    }

    /// Records that a chunk was applied with this staleness, or refused.
    pub fn mark(&mut self, seq: Seq, chunk: u32, outcome: Result<u64, NonFinite>) {
        let index = self.index(seq);
        let Some(Some(entry)) = index.and_then(|index| self.entries.get_mut(index)) else {
            return;
        };
        if !entry.done.insert(chunk as usize) {
            return;
        }
        entry.chunks_done += 1;
        let acknowledgement = &mut entry.acknowledgement;
        match outcome {
            Ok(staleness) => {
                acknowledgement.staleness_max = acknowledgement.staleness_max.max(staleness);
            }
            Err(refusal) => acknowledgement.refused.push((chunk, refusal)),
        }
        if entry.is_finished() {
            entry.done = ChunkSet::default();
            self.advance();
        }
    }

    /// The acknowledgement of a finished push; `None` while chunks are missing.
    pub fn acknowledgement(&self, seq: Seq) -> Option<&Acknowledgement> {
        let entry = self.entry(seq)?;
        entry.is_finished().then_some(&entry.acknowledgement)
    }

    /// Steps whose pushes are applied on this shard, counted without gaps.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Whether every push before this one is finished or given up.
    pub fn are_done_before(&self, seq: Seq) -> bool {
        self.contiguous >= seq
    }

    /// The oldest push that may still be retried.
    pub fn floor(&self) -> Seq {
        self.floor
    }

    /// One after the newest push that was begun.
    pub fn end(&self) -> Seq {
        self.floor + self.entries.len() as Seq
    }

    /// The pushes that are begun and not finished, with what is done of them.
    pub(crate) fn in_work(&self) -> impl Iterator<Item = (Seq, &ChunkSet)> {
        let in_work = self.begun().filter(|(_, entry)| !entry.is_finished());
        in_work.map(|(seq, entry)| (seq, &entry.done))
    }

    /// Pushes that are begun and not finished: torn when their worker is gone.
    pub fn unfinished(&self) -> u64 {
        self.begun().filter(|(_, entry)| entry.is_torn()).count() as u64
    }

    /// Pushes that the worker gave up since the last call, when a part of them was applied: they are torn.
    pub fn take_given_up(&mut self) -> u64 {
        std::mem::take(&mut self.given_up)
    }

    fn raise_floor(&mut self, oldest: Seq) {
        if oldest <= self.floor {
            return;
        }
        // What the worker no longer retries counts as done for its clock, even if given up.
        let count = self.index(oldest).map_or(0, |count| count.min(self.entries.len()));
        for entry in self.entries.drain(..count).flatten() {
            self.given_up += u64::from(entry.is_torn());
            self.clock = self.clock.max(entry.clock_after);
        }
        self.floor = oldest;
        self.contiguous = self.contiguous.max(oldest);
        self.advance();
    }

    fn advance(&mut self) {
        while let Some(entry) = self.entry(self.contiguous).filter(|entry| entry.is_finished()) {
            self.clock = self.clock.max(entry.clock_after);
            self.contiguous += 1;
        }
    }

    /// Where a push is remembered; `None` below the window.
    fn index(&self, seq: Seq) -> Option<usize> {
        seq.checked_sub(self.floor).and_then(|index| usize::try_from(index).ok())
    }

    fn entry(&self, seq: Seq) -> Option<&Entry> {
        self.entries.get(self.index(seq)?)?.as_ref()
    }

    /// The place of a push that is within the window.
    fn place(&mut self, seq: Seq) -> &mut Option<Entry> {
        let index = (seq - self.floor) as usize;
        if index >= self.entries.len() {
            self.entries.resize_with(index + 1, || None);
        }
        &mut self.entries[index]
    }

    /// The pushes that are remembered, by rising number.
    fn begun(&self) -> impl Iterator<Item = (Seq, &Entry)> {
        let numbered = (self.floor..).zip(&self.entries);
        numbered.filter_map(|(seq, entry)| entry.as_ref().map(|entry| (seq, entry)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_retry_completes_what_the_first_attempt_began() {
        let mut window = Window::default();
        window.begin(0, 0, 1, 2).unwrap();
        window.mark(0, 70, Ok(3));
        assert_eq!(window.acknowledgement(0), None);
        assert_eq!(window.unfinished(), 1);
        window.begin(0, 0, 1, 2).unwrap();
        assert!(window.is_done(0, 70) && !window.is_done(0, 1));
        window.mark(0, 1, Err(NonFinite::Gradient));
        let ack = window.acknowledgement(0).unwrap();
        assert_eq!(ack.staleness_max, 3);
        assert_eq!(ack.refused, vec![(1, NonFinite::Gradient)]);
        assert_eq!(window.clock(), 1);
    }

    #[test]
    fn below_the_window_is_stale_and_far_ahead_is_refused() {
        let mut window = Window::default();
        window.begin(5, 5, 5, 0).unwrap();
        assert_eq!(window.begin(4, 0, 4, 1), Err(Error::Stale { seq: 4, floor: 5 }));
        assert!(window.is_done(4, 0), "a forgotten push is never applied");
        let far = 5 + DEDUP_WINDOW;
        assert_eq!(window.begin(far, 5, far, 1), Err(Error::Full { seq: far, floor: 5 }));
        assert!(window.begin(far - 1, 5, far, 1).is_ok());
    }

    #[test]
    fn a_retry_must_repeat_the_push() {
        let mut window = Window::default();
        window.begin(0, 0, 0, 2).unwrap();
        let changed = Error::Changed { seq: 0, expected: 2, found: 3 };
        assert_eq!(window.begin(0, 0, 0, 3), Err(changed));
    }

    #[test]
    fn the_clock_counts_without_gaps() {
        let mut window = Window::default();
        window.begin(1, 0, 12, 0).unwrap();
        assert_eq!(window.clock(), 0, "push 0 is still out");
        assert!(window.are_done_before(0) && !window.are_done_before(1));
        window.begin(0, 0, 11, 0).unwrap();
        assert_eq!(window.clock(), 12);
        window.begin(5, 4, 21, 1).unwrap();
        assert_eq!(window.clock(), 12, "push 4 is out, 5 is unfinished");
        window.begin(6, 6, 22, 0).unwrap();
        assert_eq!(window.clock(), 22, "4 and 5 were given up");
    }

    #[test]
    fn a_step_of_two_pushes_ends_with_the_later_number() {
        let mut window = Window::default();
        window.begin(1, 0, 1, 0).unwrap();
        assert_eq!(window.clock(), 0, "the gradient is applied, the state is not");
        window.begin(0, 0, 0, 1).unwrap();
        assert_eq!(window.clock(), 0);
        window.mark(0, 0, Ok(0));
        assert_eq!(window.clock(), 1);
    }

    proptest! {
        /// Against a model: however attempts are repeated and interleaved, each chunk of each push
        /// is let through exactly once.
        #[test]
        fn each_chunk_is_let_through_once(
            attempts in prop::collection::vec((0_u64..12, 0_u32..4, 0_u64..12), 1..200)
        ) {
            let mut window = Window::default();
            let mut applied = std::collections::BTreeSet::new();
            let mut floor = 0;
            for (seq, chunk, oldest) in attempts {
                let oldest = oldest.min(seq);
                match window.begin(seq, oldest, seq, 4) {
                    Ok(()) => {
                        floor = floor.max(oldest);
                        prop_assert!(seq >= floor);
                        if !window.is_done(seq, chunk) {
                            prop_assert!(applied.insert((seq, chunk)));
                            window.mark(seq, chunk, Ok(0));
                        }
                        prop_assert!(applied.contains(&(seq, chunk)));
                        let all = (0..4).all(|c| applied.contains(&(seq, c)));
                        prop_assert_eq!(window.acknowledgement(seq).is_some(), all);
                    }
                    Err(_) => prop_assert!(seq < floor),
                }
            }
        }
    }
}
