//! Chunks as they were before what is not in a cut.

use crate::chunk::Chunk;
use std::collections::BTreeMap;

/// The older generation of a shard's chunks, where there are two.
#[derive(Debug, Default)]
pub(super) struct Kept {
    chunks: BTreeMap<usize, Chunk>,
    bytes: usize,
}

impl Kept {
    pub(super) fn contains(&self, index: usize) -> bool {
        self.chunks.contains_key(&index)
    }

    pub(super) fn first(&self) -> Option<usize> {
        self.chunks.first_key_value().map(|(index, _)| *index)
    }

    pub(super) fn insert(&mut self, index: usize, chunk: Chunk) {
        self.bytes += bytes(&chunk);
        self.chunks.insert(index, chunk);
    }

    pub(super) fn take(&mut self, index: usize) -> Option<Chunk> {
        let chunk = self.chunks.remove(&index)?;
        self.bytes -= bytes(&chunk);
        Some(chunk)
    }

    /// Of the weights and of what the optimizer remembers.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn bytes(chunk: &Chunk) -> usize {
    (1 + chunk.slots().len()) * size_of_val(chunk.weights())
}
