//! One push, applied exactly once.

use super::scratch::{DecodeBuffer, Scratch};
use super::{EncodedChunk, Error, ModelShard, Puller, PushHeader, Session, Shard};
use crate::chunk::{Outcome, Update};
use crate::ids::{ChunkId, Clock};
use crate::window::{Acknowledgement, Window};
use crate::{TensorKind, fence, span};
use parking_lot::{Mutex, RwLockReadGuard};
use ps_kernels::encoding;
use std::sync::Arc;
use std::time::Duration;

/// A push that a shard has begun to take.
pub struct Push<'a> {
    shard: &'a Shard,
    model: Arc<ModelShard>,
    session: Arc<Mutex<Session>>,
    header: PushHeader,
    seen: u32,
    was_finished: bool,
}

impl Shard {
    /// Opens a push, or meets it again.
    ///
    /// # Errors
    /// The caller is fenced, the push is outside the window, or cannot be meant for this shard.
    pub fn begin(&self, header: PushHeader, now: Duration) -> Result<Push<'_>, Error> {
        let id = header.id;
        self.heard(header.epoch, id.worker, id.incarnation, now);
        let model = self.model().ok_or(Error::NotInitialised(self.index))?.clone();
        let chunks = model.chunks().len();
        if header.chunks_total as usize > chunks {
            let (found, shard) = (header.chunks_total, self.index);
            return Err(Error::TooManyChunks { found, shard, chunks });
        }
        let fence = self.check_fence(&header)?;
        let session = self.sessions.entry(id.worker).or_default().clone();
        let was_finished = {
            let mut state = session.lock();
            if state.incarnation < id.incarnation {
                *state = Session { incarnation: id.incarnation, window: Window::default() };
            }
            let window = &mut state.window;
            let ends_step = header.ends_step || !self.guards.steps;
            let clock_after = header.clock.saturating_add(u64::from(ends_step));
            window.begin(id.seq, header.oldest, clock_after, header.chunks_total)?;
            let finished = window.acknowledgement(id.seq).is_some();
            self.guards.dedup && finished && header.chunks_total > 0
        };
        drop(fence);
        let push = Push { shard: self, model, session, header, seen: 0, was_finished };
        push.advance_clock();
        Ok(push)
    }

    fn check_fence(
        &self,
        header: &PushHeader,
    ) -> Result<RwLockReadGuard<'_, fence::Fence>, fence::Error> {
        let fence = self.fence.read();
        match fence.check(header.epoch, header.id.worker, header.id.incarnation) {
            Ok(()) => Ok(fence),
            Err(error) => {
                self.counters.calls_fenced.add(1);
                Err(error)
            }
        }
    }
}

impl Push<'_> {
    /// What it said at its beginning.
    pub fn header(&self) -> &PushHeader {
        &self.header
    }

    /// Whether an earlier attempt finished it; its chunks need not be sent.
    pub fn was_finished(&self) -> bool {
        self.was_finished
    }

    /// Whether every chunk of it is applied or refused.
    pub fn is_complete(&self) -> bool {
        if !self.shard.guards.dedup {
            return self.seen >= self.header.chunks_total;
        }
        self.session.lock().window.acknowledgement(self.header.id.seq).is_some()
    }

    /// May the pull that comes with it be answered while it arrives? The clock that it may then
    /// use. Only if nothing else of the worker's is missing: its weights would else lack, chunk by
    /// chunk, what its own earlier pushes change, state tensors of this very step among it.
    pub fn check_gate(&self, puller: &Puller, now: Duration) -> Option<Clock> {
        let are_done = self.session.lock().window.are_done_before(self.header.id.seq);
        if self.shard.guards.steps && !(are_done && self.header.ends_step) {
            return None;
        }
        let &Puller { worker, incarnation, clock, ahead, .. } = puller;
        let mut gate = self.shard.gate.lock();
        gate.check_within_push(worker, incarnation, self.header.clock, clock, ahead.into(), now)
    }

    /// Takes one chunk's values: under the chunk's lock and with the fence held, epoch and
    /// incarnation check, dedup check, finite check, apply, mark.
    ///
    /// # Errors
    /// The caller was fenced meanwhile, or the values do not fit; nothing of them was applied.
    pub fn take(&mut self, sent: &EncodedChunk<'_>) -> Result<(), Error> {
        self.seen += 1;
        let (shard, header, id) = (self.shard, &self.header, sent.id);
        let index = self.model.index(id).ok_or_else(|| self.no_such_chunk(id))?;
        self.check_kind(id, index)?;
        // Ahead of the locks: whoever reads the chunk does not wait for it.
        let mut scratch = shard.scratch.take();
        let Scratch { buffer, decoded } = &mut *scratch;
        let values = self.dense(sent, index, decoded)?;
        let _fence = shard.check_fence(header)?;
        let mut chunk = self.model.chunks()[index].lock();
        let bit = index as u32;
        if shard.guards.dedup && self.session.lock().window.is_done(header.id.seq, bit) {
            return Ok(());
        }
        let update = Update {
            spans: sent.spans,
            values,
            pulled_version: sent.pulled_version,
            learning_rate: header.learning_rate,
            kind: header.kind,
        };
        let spec = &self.model.spec;
        let outcome = chunk
            .apply(&spec.optimizer, spec.correction, &update, buffer)
            .map_err(|error| Error::Malformed { id, error })?;
        let (count, result) = match outcome {
            Outcome::Applied { staleness } => (&shard.counters.chunks_applied, Ok(staleness)),
            Outcome::Refused(reason) => (&shard.counters.chunks_refused, Err(reason)),
        };
        self.session.lock().window.mark(header.id.seq, bit, result);
        count.add(1);
        Ok(())
    }

    /// The acknowledgement, when every chunk is applied or refused; whether the push was finished
    /// before this call.
    ///
    /// # Errors
    /// Chunks are missing.
    pub fn finish(self) -> Result<(Acknowledgement, bool), Error> {
        self.advance_clock();
        let expected = self.header.chunks_total;
        let state = self.session.lock();
        let acknowledgement = state.window.acknowledgement(self.header.id.seq);
        let Some(acknowledgement) = acknowledgement else {
            return Err(Error::Incomplete { found: self.seen, expected });
        };
        let counters = &self.shard.counters;
        if self.was_finished {
            counters.pushes_duplicate.add(1);
        } else {
            counters.pushes_applied.add(1);
        }
        let mut acknowledgement = acknowledgement.clone();
        acknowledgement.refused.iter_mut().for_each(|(bit, _)| *bit = self.model.id(*bit as usize));
        Ok((acknowledgement, self.was_finished))
    }

    /// The values as dense `f32`: as they came, or decoded.
    fn dense<'v>(
        &self,
        sent: &EncodedChunk<'v>,
        index: usize,
        decoded: &'v mut DecodeBuffer,
    ) -> Result<&'v [u8], Error> {
        let EncodedChunk { id, values, positions, .. } = *sent;
        let received =
            encoding::EncodedValues { encoding: self.header.encoding, values, positions };
        if received.is_plain() {
            return Ok(values);
        }
        let elements = self.model.elements(index);
        if self.header.kind == TensorKind::State && !positions.is_empty() {
            return Err(Error::Encoded { id, error: encoding::Error::State });
        }
        let covered = match sent.spans {
            [] => elements,
            spans => span::check(spans, elements)
                .map_err(|error| Error::Malformed { id, error: error.into() })?,
        };
        let dense = decoded.values(covered);
        received.decode(dense).map_err(|error| Error::Encoded { id, error })?;
        Ok(bytemuck::cast_slice(dense))
    }

    fn no_such_chunk(&self, id: ChunkId) -> Error {
        let (first, chunks) = (self.model.id(0), self.model.chunks().len());
        Error::NoSuchChunk { id, shard: self.shard.index, first, chunks }
    }

    fn check_kind(&self, id: ChunkId, index: usize) -> Result<(), Error> {
        let (held, found) = (self.model.kind(index), self.header.kind);
        if held == found { Ok(()) } else { Err(Error::Kind { id, held, found }) }
    }

    /// Tells the gate how far this worker's pushes are applied here.
    fn advance_clock(&self) {
        let clock = self.session.lock().window.clock();
        let id = self.header.id;
        if self.shard.gate.lock().advance(id.worker, id.incarnation, clock) {
            (self.shard.notify_gate)();
        }
    }
}
