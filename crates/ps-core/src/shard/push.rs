//! One push, applied exactly once.

use super::cut::Generation;
use super::scratch::Scratch;
use super::{EncodedRun, Error, ModelShard, Puller, PushHeader, Session, Shard};
use crate::chunk::{Outcome, Update, UpdateBuffer};
use crate::chunk_set::runs;
use crate::fence;
use crate::ids::{ChunkId, Clock, PushId};
use crate::window::{Acknowledgement, Window};
use parking_lot::{Mutex, RwLockReadGuard};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// A push that a shard has begun to take.
pub struct Push<'a> {
    pub(super) shard: &'a Shard,
    pub(super) model: Arc<ModelShard>,
    session: Arc<Mutex<Session>>,
    pub(super) header: PushHeader,
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
        let Some(model) = self.model().cloned() else {
            // Whoever is shut out hears that: it would wait in vain for a model.
            drop(self.check_fence(&header)?);
            return Err(Error::NotInitialised(self.index));
        };
        let chunks = model.chunks().len();
        if header.chunks_total as usize > chunks {
            let (found, shard) = (header.chunks_total, self.index);
            return Err(Error::TooManyChunks { found, shard, chunks });
        }
        let fence = self.check_fence(&header)?;
        let session = self.sessions.entry(id.worker).or_default().clone();
        let was_finished = {
            let mut state = session.lock();
            self.cutting.check_begin(&id, now)?;
            if state.incarnation < id.incarnation {
                let (incarnation, counts) = (id.incarnation, state.counts);
                *state = Session { incarnation, window: Window::default(), counts };
            }
            let window = &mut state.window;
            let ends_step = header.ends_step || !self.guards.steps;
            let clock_after = header.clock.saturating_add(u64::from(ends_step));
            let begun = window.begin(id.seq, header.oldest, clock_after, header.chunks_total);
            self.counters.pushes_torn.add(window.take_given_up());
            begun?;
            self.cutting.begun(&id, header.oldest, clock_after, header.chunks_total);
            self.note_push(&header, clock_after);
            let finished = window.acknowledgement(id.seq).is_some();
            self.guards.dedup && finished && header.chunks_total > 0
        };
        drop(fence);
        let push = Push { shard: self, model, session, header, seen: 0, was_finished };
        push.advance_clock();
        Ok(push)
    }

    /// The chunks of a push that are applied or refused already: whoever sends it again may leave them
    /// out.
    pub fn applied(&self, id: &PushId) -> Vec<Range<ChunkId>> {
        let session = self.sessions.get(&id.worker).map(|session| session.clone());
        let (Some(session), Some(model)) = (session, self.model()) else { return Vec::new() };
        let state = session.lock();
        let is_known = state.incarnation == id.incarnation && state.window.is_begun(id.seq);
        if !self.guards.dedup || !is_known {
            return Vec::new();
        }
        let done = |index: &usize| state.window.is_done(id.seq, *index as u32);
        runs((0..model.chunks().len()).filter(done), model.id(0))
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

    /// Takes the values of a run of chunks: one chunk after another under its lock, all with the fence
    /// held. Epoch and incarnation check, then of each dedup check, finite check, apply, mark.
    ///
    /// # Errors
    /// The caller was fenced meanwhile, or the values do not fit; then no chunk that they do not fit
    /// was touched.
    pub fn take(&mut self, sent: &EncodedRun<'_>) -> Result<(), Error> {
        self.seen = self.seen.saturating_add(sent.chunks.max(1));
        let shard = self.shard;
        let held = self.held(sent)?;
        // Ahead of the locks: whoever reads a chunk does not wait for it.
        let mut scratch = shard.scratch.take();
        let Scratch { buffer, decoded } = &mut *scratch;
        let mut values = self.dense(sent, &held, decoded)?;
        let _fence = shard.check_fence(&self.header)?;
        for index in held.clone() {
            let bytes = match held.len() {
                1 => values.len(),
                _ => self.model.elements(index) * size_of::<f32>(),
            };
            let (here, after) = values.split_at(bytes);
            self.apply(index, sent, here, buffer)?;
            values = after;
        }
        Ok(())
    }

    fn apply(
        &self,
        index: usize,
        sent: &EncodedRun<'_>,
        values: &[u8],
        buffer: &mut UpdateBuffer,
    ) -> Result<(), Error> {
        let (shard, header) = (self.shard, &self.header);
        let mut chunk = self.model.chunks()[index].lock();
        let bit = index as u32;
        if shard.guards.dedup && self.session.lock().window.is_done(header.id.seq, bit) {
            return Ok(());
        }
        let pulled_version = shard.known_version(sent.pulled_version, chunk.version());
        let update = Update {
            spans: sent.spans,
            values,
            pulled_version,
            learning_rate: header.learning_rate,
            kind: header.kind,
            rules: self.model.rules(index),
        };
        let generation = shard.cutting.generation(&header.id, index);
        if generation == Generation::Newer {
            shard.cutting.keep(index, &chunk);
        }
        let spec = &self.model.spec;
        let outcome = chunk
            .apply(&spec.optimizer, spec.correction, &update, buffer)
            .map_err(|error| Error::Malformed { id: self.model.id(index), error })?;
        if generation == Generation::Both {
            shard.cutting.change_kept(index, |kept| {
                let pulled_version = update.pulled_version.min(kept.version());
                let update = Update { pulled_version, ..update };
                // It fits, as it did above; what it makes of this generation may be refused, as of any.
                let _ = kept.apply(&spec.optimizer, spec.correction, &update, buffer);
            });
        }
        let (count, result) = match outcome {
            Outcome::Applied { staleness } => (&shard.counters.chunks_applied, Ok(staleness)),
            Outcome::Refused(reason) => (&shard.counters.chunks_refused, Err(reason)),
        };
        // Under one lock: whoever copies the shard sees both or neither.
        let mut session = self.session.lock();
        shard.copying.note(header.id, index);
        if generation == Generation::Both {
            shard.cutting.mark(&header.id, bit, result);
        }
        self.note_chunk(index, sent, values, pulled_version, (&chunk, result));
        session.window.mark(header.id.seq, bit, result);
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
        let mut state = self.session.lock();
        let acknowledgement = state.window.acknowledgement(self.header.id.seq).cloned();
        let Some(mut acknowledgement) = acknowledgement else {
            return Err(Error::Incomplete { found: self.seen, expected });
        };
        let counters = &self.shard.counters;
        if self.was_finished {
            counters.pushes_duplicate.add(1);
        } else {
            counters.pushes_applied.add(1);
            state.counts.steps += u64::from(self.header.ends_step);
            state.counts.chunks_refused += acknowledgement.refused.len() as u64;
        }
        acknowledgement.refused.iter_mut().for_each(|(bit, _)| *bit = self.model.id(*bit as usize));
        Ok((acknowledgement, self.was_finished))
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
