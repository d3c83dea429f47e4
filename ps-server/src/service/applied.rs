//! Chunks of a `PushPull` that are applied, on their way back while more of the push arrives.

use super::Service;
use super::buffers::CHUNK_BYTES;
use super::weights::Weights;
use ps_core::ids::ChunkId;
use ps_core::shard::ModelShard;
use std::ops::Range;
use std::sync::Arc;

/// Applied chunks, and those that were sent back; one message takes as many as it has room for.
pub(super) struct Applied<'a> {
    service: &'a Service,
    weights: &'a Weights,
    model: Arc<ModelShard>,
    is_sent: Vec<bool>,
    /// To be sent with the next message.
    next: Vec<usize>,
    bytes: usize,
}

impl<'a> Applied<'a> {
    /// Nothing is applied yet.
    pub(super) fn new(service: &'a Service, weights: &'a Weights, model: Arc<ModelShard>) -> Self {
        let is_sent = vec![false; model.chunks().len()];
        Self { service, weights, model, is_sent, next: Vec::new(), bytes: 0 }
    }

    /// Sends these back, which were applied just now, or later with others.
    pub(super) fn add(&mut self, run: Range<ChunkId>) {
        for id in run {
            let Some(index) = self.model.index(id).filter(|index| !self.is_sent[*index]) else {
                continue;
            };
            let bytes = self.weights.bytes(&self.model, index);
            self.is_sent[index] = true;
            self.next.push(index);
            self.bytes += bytes;
            // Another one like it has no room.
            if self.bytes + bytes > CHUNK_BYTES {
                self.send();
            }
        }
    }

    /// Which chunks were sent back.
    pub(super) fn into_sent(mut self) -> Vec<bool> {
        self.next.iter().for_each(|index| self.is_sent[*index] = false);
        self.is_sent
    }

    /// A caller may send all before it reads any: it must never be held up for what it does not read.
    fn send(&mut self) {
        let left = self.weights.chunks_now(self.service, &self.model, &self.next);
        left.iter().for_each(|index| self.is_sent[*index] = false);
        (self.next, self.bytes) = (Vec::new(), 0);
    }
}
