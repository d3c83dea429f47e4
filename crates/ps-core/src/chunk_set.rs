//! A set of a shard's chunks, by their places in the shard.

use crate::ids::ChunkId;
use std::ops::Range;

const BITS: usize = u64::BITS as usize;

/// A set of a shard's chunks; empty, it takes no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChunkSet(Vec<u64>);

impl ChunkSet {
    /// Whether a chunk is in it.
    pub fn contains(&self, index: usize) -> bool {
        self.0.get(index / BITS).is_some_and(|word| word & (1 << (index % BITS)) != 0)
    }

    /// Puts a chunk into it; whether it was not there before.
    pub fn insert(&mut self, index: usize) -> bool {
        let is_new = !self.contains(index);
        if self.0.len() <= index / BITS {
            self.0.resize(index / BITS + 1, 0);
        }
        self.0[index / BITS] |= 1 << (index % BITS);
        is_new
    }

    /// Puts a chunk into it.
    pub fn add(&mut self, index: usize) {
        self.insert(index);
    }

    /// Puts all of these into it.
    pub fn extend(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// As runs of chunks of the whole model, where the shard's first chunk is this one.
    pub fn runs(&self, first: ChunkId) -> Vec<Range<ChunkId>> {
        runs((0..self.0.len() * BITS).filter(|index| self.contains(*index)), first)
    }
}

/// Rising places in a shard as runs of chunks of the whole model.
pub fn runs(indices: impl Iterator<Item = usize>, first: ChunkId) -> Vec<Range<ChunkId>> {
    let mut runs: Vec<Range<ChunkId>> = Vec::new();
    for chunk in indices.map(|index| first + index as ChunkId) {
        match runs.last_mut().filter(|run| run.end == chunk) {
            Some(run) => run.end += 1,
            None => runs.push(chunk..chunk + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set(indices in prop::collection::vec(0_usize..300, 0..40), first in 0_u32..9) {
            let mut set = ChunkSet::default();
            let mut expected = BTreeSet::new();
            for index in indices {
                prop_assert_eq!(set.insert(index), expected.insert(index));
            }
            prop_assert_eq!(set.count() as usize, expected.len());
            prop_assert_eq!(set.is_empty(), expected.is_empty());
            let all: Vec<usize> =
                set.runs(first).into_iter().flatten().map(|chunk| (chunk - first) as usize).collect();
            prop_assert!(all.iter().eq(&expected));
            let mut both = ChunkSet::default();
            both.insert(7);
            both.extend(&set);
            expected.insert(7);
            prop_assert_eq!(both.count() as usize, expected.len());
        }
    }
}
