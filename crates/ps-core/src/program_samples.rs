//! Which programs work on which samples: one pass is open at a time, and over when every sample of it was trained.
//!
//! Leases are a share of what is left of the pass, so that they are small at its end and nobody waits long for the last
//! one (guided self-scheduling; Polychronopoulos and Kuck, 1987).

use crate::ids::WorkerId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A lease is at most this part of a worker's share of a pass: enough to even out unequal workers.
const LEASES_PER_WORKER: u64 = 8;

/// And at most this part of a worker's share of what is left.
const PARTS_OF_REST: u64 = 2;

/// How far programs are in their samples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramSamples {
    /// How many there are; 0 until a program says so.
    samples: u64,
    /// The one that is open, from 0.
    pass: u64,
    /// Where its next fresh lease begins.
    next: u64,
    /// What came back.
    returned: BTreeSet<Places>,
    /// By number.
    out: BTreeMap<u64, (WorkerId, Places)>,
    /// Leases that there were.
    leases: u64,
    /// Samples that were trained, over all passes.
    done: u64,
    /// Grows whenever a lease goes out or comes in.
    #[serde(default)]
    generation: u64,
}

/// Consecutive places in the order of the open pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Places {
    /// The first one.
    pub(crate) start: u64,
    /// One after the last.
    pub(crate) end: u64,
}

impl Places {
    fn count(self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// What there is for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// A lease, by its number.
    Lease(u64, Places),
    /// All that is left of the pass is with others.
    Others,
    /// Its pass is over.
    Over,
}

impl ProgramSamples {
    /// How many samples there are, if a program has said so.
    pub(crate) fn samples(&self) -> Option<u64> {
        (self.samples > 0).then_some(self.samples)
    }

    /// A program says how many there are.
    pub(crate) fn begin(&mut self, samples: u64) {
        self.samples = samples;
        self.generation += 1;
    }

    /// The open pass, from 0.
    pub(crate) fn pass(&self) -> u64 {
        self.pass
    }

    /// Samples that were trained, over all passes.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// Whether programs take samples from here.
    pub(crate) fn is_used(&self) -> bool {
        self.samples > 0
    }

    /// Grows whenever a lease goes out or comes in.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Workers whose programs hold samples.
    pub(crate) fn holders(&self) -> BTreeSet<WorkerId> {
        self.out.values().map(|(worker, _)| *worker).collect()
    }

    /// How many a worker's program holds.
    pub(crate) fn held(&self, worker: WorkerId) -> u64 {
        let held = self.out.values().filter(|(holder, _)| *holder == worker);
        held.map(|(_, places)| places.count()).sum()
    }

    /// Whether any of the open pass went out.
    pub(crate) fn is_begun(&self) -> bool {
        self.next > 0
    }

    /// A lease for a program that is in this pass; of `workers`, whose steps have `batch` samples.
    pub(crate) fn offer(&mut self, worker: WorkerId, pass: u64, workers: u64, batch: u64) -> Offer {
        if pass < self.pass {
            return Offer::Over;
        }
        let Some(places) = self.returned.pop_first().or_else(|| self.fresh(workers, batch)) else {
            return Offer::Others;
        };
        self.leases += 1;
        self.generation += 1;
        self.out.insert(self.leases, (worker, places));
        Offer::Lease(self.leases, places)
    }

    fn fresh(&mut self, workers: u64, batch: u64) -> Option<Places> {
        let (workers, batch) = (workers.max(1), batch.clamp(1, self.samples.max(1)));
        let left = self.samples - self.next;
        let share = self.samples.div_ceil(workers * LEASES_PER_WORKER);
        let size = share.min(left.div_ceil(workers * PARTS_OF_REST)).div_ceil(batch) * batch;
        let start = self.next;
        self.next += size.min(left);
        (left > 0).then_some(Places { start, end: self.next })
    }

    /// A program has trained a lease; whether that ended the pass. One that went to another meanwhile does not count.
    pub(crate) fn finish(&mut self, worker: WorkerId, lease: u64) -> bool {
        let Some((_, places)) =
            self.out.get(&lease).filter(|(holder, _)| *holder == worker).copied()
        else {
            return false;
        };
        self.out.remove(&lease);
        self.generation += 1;
        self.done = self.done.saturating_add(places.count());
        let is_over = self.next == self.samples && self.returned.is_empty() && self.out.is_empty();
        if is_over {
            (self.pass, self.next) = (self.pass + 1, 0);
        }
        is_over
    }

    /// What a worker holds goes to others; how many samples that is.
    pub(crate) fn give_back(&mut self, worker: WorkerId) -> u64 {
        let held = self.out.values().filter(|(holder, _)| *holder == worker);
        let back: Vec<Places> = held.map(|(_, places)| *places).collect();
        self.out.retain(|_, (holder, _)| *holder != worker);
        self.generation += u64::from(!back.is_empty());
        self.returned.extend(&back);
        back.into_iter().map(Places::count).sum()
    }

    /// As it is to go on from: what is out is done again.
    pub(crate) fn saved(&self) -> Self {
        let mut saved = self.clone();
        saved.returned.extend(saved.out.values().map(|(_, places)| *places));
        saved.out.clear();
        saved
    }

    /// Whether a checkpoint can say so.
    pub(crate) fn is_sound(&self) -> bool {
        let parts: Vec<&Places> = self.returned.iter().collect();
        let is_inside = |it: &&Places| it.start < it.end && it.end <= self.next;
        let is_open = self.next < self.samples || !parts.is_empty() || self.samples == 0;
        self.out.is_empty()
            && self.next <= self.samples
            && is_open
            && parts.iter().all(is_inside)
            && parts.windows(2).all(|pair| pair[0].end <= pair[1].start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn begun(samples: u64) -> ProgramSamples {
        let mut all = ProgramSamples::default();
        all.begin(samples);
        all
    }

    #[test]
    fn leases_are_whole_batches_and_shrink_towards_the_end() {
        let mut all = begun(1000);
        let mut sizes = Vec::new();
        while let Offer::Lease(_, places) = all.offer(0, 0, 2, 10) {
            sizes.push(places.count());
        }
        assert_eq!(sizes.iter().sum::<u64>(), 1000);
        assert!(sizes[..sizes.len() - 1].iter().all(|size| size % 10 == 0), "{sizes:?}");
        assert_eq!((sizes[0], sizes[sizes.len() - 1]), (70, 10), "{sizes:?}");
        assert_eq!(all.offer(0, 0, 2, 10), Offer::Others);
    }

    #[test]
    fn who_is_behind_catches_up_and_who_is_ahead_takes_what_is_open() {
        let mut all = begun(10);
        let Offer::Lease(first, _) = all.offer(0, 3, 1, 10) else { panic!() };
        assert!(all.finish(0, first));
        assert_eq!((all.pass(), all.offer(1, 0, 1, 10)), (1, Offer::Over));
        assert!(matches!(all.offer(1, 1, 1, 10), Offer::Lease(_, _)));
    }

    #[test]
    fn what_a_dead_program_held_goes_to_others_and_its_report_counts_no_more() {
        let mut all = begun(10);
        let Offer::Lease(lease, places) = all.offer(0, 0, 1, 10) else { panic!() };
        assert_eq!(all.offer(1, 0, 1, 10), Offer::Others);
        assert_eq!(all.give_back(0), 10);
        let Offer::Lease(again, same) = all.offer(1, 0, 1, 10) else { panic!() };
        assert_eq!(places, same);
        assert!(!all.finish(0, lease) && !all.finish(0, again), "not its own any more");
        assert_eq!(all.done(), 0);
    }

    proptest! {
        #[test]
        fn every_sample_of_every_pass_is_trained_whoever_dies(
            samples in 1_u64..500,
            batch in 1_u64..40,
            workers in 1_u64..5,
            events in prop::collection::vec((0_u32..4, 0_u8..8), 1..400),
        ) {
            let mut all = begun(samples);
            let mut trained = vec![0_u32; samples as usize];
            let mut passes = 0;
            let mut held: BTreeMap<WorkerId, Vec<(u64, Places)>> = BTreeMap::new();
            for (worker, event) in events {
                match event {
                    0 => {
                        all.give_back(worker);
                        held.remove(&worker);
                    }
                    1 => {
                        // Another process goes on from a checkpoint: everybody begins anew.
                        all = all.saved();
                        prop_assert!(all.is_sound());
                        held.clear();
                    }
                    2..5 => if let Offer::Lease(lease, places) = all.offer(worker, passes, workers, batch) {
                        prop_assert_eq!(all.pass(), passes);
                        held.entry(worker).or_default().push((lease, places));
                    }
                    _ => for (lease, places) in held.remove(&worker).unwrap_or_default() {
                        (places.start..places.end).for_each(|at| trained[at as usize] += 1);
                        let is_over = all.finish(worker, lease);
                        prop_assert_eq!(is_over, trained.iter().all(|times| *times == 1));
                        prop_assert!(trained.iter().all(|times| *times <= 1));
                        if is_over {
                            passes += 1;
                            trained.fill(0);
                        }
                    }
                }
            }
            prop_assert_eq!(all.done(), passes * samples + trained.iter().map(|times| u64::from(*times)).sum::<u64>());
        }
    }
}
