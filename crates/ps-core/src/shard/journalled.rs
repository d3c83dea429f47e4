//! What is written down of what happens to a shard, under the locks that order it.

use super::{EncodedRun, Push, PushHeader, Shard};
use crate::chunk::{Chunk, NonFinite};
use crate::fence::{Fence, Fenced};
use crate::ids::{Clock, Incarnation, Version, WorkerId};
use crate::journal::{ChunkRecord, ChunkResult, FenceRecord, PushRecord, Record};
use ps_kernels::encoding::Encoding;
use std::sync::atomic::Ordering;

impl Shard {
    /// Who is shut out, as it is now.
    pub fn fenced(&self) -> Fenced {
        self.fence.read().fenced()
    }

    /// A push was begun; its session is locked.
    pub(super) fn note_push(&self, header: &PushHeader, clock_after: Clock) {
        if let Some(journal) = &self.journal {
            journal.append(&Record::Push(PushRecord {
                id: header.id,
                oldest: header.oldest,
                clock_after,
                chunks: header.chunks_total,
                ends_step: header.ends_step,
                loss: header.loss,
            }));
        }
    }

    /// Somebody is shut out; the fence is locked for writing.
    pub(super) fn note_fence(&self, fence: &Fence, raised: Vec<(WorkerId, Incarnation)>) {
        if let Some(journal) = self.journal.as_ref().filter(|_| self.guards.fences) {
            let (life, epoch) = (fence.life(), fence.epoch());
            journal.append(&Record::Fence(FenceRecord { life, epoch, raised }));
        }
    }

    /// Callers may know versions above those that it will hold: it goes on from before them.
    pub fn expect_later_versions(&self) {
        self.is_recovered.store(true, Ordering::Relaxed);
    }

    /// Whether callers may know other values of a version than those that it holds.
    pub fn may_be_behind(&self) -> bool {
        self.is_recovered.load(Ordering::Relaxed)
    }

    /// The version that staleness is counted from. A worker may have been sent weights that no disk had yet when the
    /// process died that sent them: a shard that lacks their versions takes what was computed from them as computed from
    /// what it has. The pushes that made them were not acknowledged, and are sent again.
    pub(super) fn known_version(&self, pulled: Version, held: Version) -> Version {
        if self.is_recovered.load(Ordering::Relaxed) { pulled.min(held) } else { pulled }
    }
}

impl Push<'_> {
    /// What came of a chunk, which is locked, as is the session.
    pub(super) fn note_chunk(
        &self,
        index: usize,
        sent: &EncodedRun<'_>,
        values: &[u8],
        pulled_version: Version,
        (chunk, result): (&Chunk, Result<u64, NonFinite>),
    ) {
        let Some(journal) = &self.shard.journal else { return };
        let header = &self.header;
        let is_alone = sent.chunks <= 1;
        // Of several chunks at once each is written down by itself, as the values that it takes.
        let (encoding, values, positions) = match (result, is_alone) {
            (Err(_), _) => (Encoding::F32, &[][..], &[][..]),
            (Ok(_), true) => (header.encoding, sent.values, sent.positions),
            (Ok(_), false) => (Encoding::F32, values, &[][..]),
        };
        journal.append(&Record::Chunk(ChunkRecord {
            id: header.id,
            chunk: self.model.id(index),
            result: match result {
                Ok(_) => ChunkResult::Applied(chunk.version()),
                Err(refusal) => ChunkResult::Refused(refusal),
            },
            pulled_version,
            clock: header.clock,
            learning_rate: header.learning_rate,
            kind: header.kind,
            encoding,
            spans: sent.spans.to_vec(),
            values,
            positions,
        }));
    }
}
