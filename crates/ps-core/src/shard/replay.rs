//! A shard that is made again: as it was written whole, and what was written down since, in the same order.

use super::scratch::Scratch;
use super::{ModelShard, Session, Shard};
use crate::checkpoint::RestoredShard;
use crate::chunk::{self, Outcome, Update};
use crate::ids::{ChunkId, PushId, ShardId, Version};
use crate::journal::{Base, BaseError, ChunkRecord, ChunkResult, FenceRecord, PushRecord, Record};
use crate::span;
use crate::window::Window;
use parking_lot::Mutex;
use ps_kernels::encoding::{self, EncodedValues};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Why a shard cannot be made again.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ReplayError {
    #[error(transparent)]
    Base(#[from] BaseError),
    #[error("{id}: chunk {chunk} is not one of shard {shard}")]
    Chunk { id: PushId, chunk: ChunkId, shard: ShardId },
    #[error(
        "{id}: makes version {found} of chunk {chunk}, which is at version {held}: what comes between is missing"
    )]
    Order { id: PushId, chunk: ChunkId, found: Version, held: Version },
    #[error("{id}: chunk {chunk} was applied, and cannot be: {reason}")]
    Other { id: PushId, chunk: ChunkId, reason: String },
}

impl Shard {
    /// Puts in place what was written whole. What was written down since is to be replayed, before anybody calls.
    ///
    /// # Errors
    /// What the base says of the model contradicts itself.
    pub fn recover(
        &self,
        base: &Base,
        restored: RestoredShard,
        now: Duration,
    ) -> Result<(), ReplayError> {
        let spec = base.spec()?;
        self.is_recovered.store(true, Ordering::Relaxed);
        self.fence.write().restore(base.fenced());
        for (worker, (incarnation, window)) in restored.sessions {
            // The base is of this very shard: it has the windows.
            let window = window.filter(|_| self.guards.windows).unwrap_or_default();
            let session = Session { incarnation, window, ..Session::default() };
            self.sessions.insert(worker, Arc::new(Mutex::new(session)));
        }
        self.install(ModelShard::new(self.index, spec, base.origin(), restored.chunks));
        self.restore_clocks(now);
        Ok(())
    }

    /// Has happen again what is written down.
    ///
    /// # Errors
    /// It cannot have happened to this shard, or something before it is missing.
    pub fn replay(&self, record: &Record<'_>) -> Result<(), ReplayError> {
        match record {
            Record::Push(push) => {
                self.replay_push(push);
                Ok(())
            }
            Record::Chunk(chunk) => self.replay_chunk(chunk),
            Record::Fence(fence) => {
                self.replay_fence(fence);
                Ok(())
            }
        }
    }

    /// Pushes of which a part is applied here, and nobody sent the rest.
    pub fn unfinished(&self) -> u64 {
        let sessions = self.all_sessions().into_iter();
        sessions.map(|(_, session)| session.lock().window.unfinished()).sum()
    }

    /// Has the gate know how far each worker was.
    pub fn restore_clocks(&self, now: Duration) {
        let mut gate = self.gate.lock();
        for (worker, session) in self.all_sessions() {
            let session = session.lock();
            gate.restore(worker, session.incarnation, session.window.clock(), now);
        }
    }

    fn replay_fence(&self, record: &FenceRecord) {
        let mut fence = self.fence.write();
        // One that is over changes nothing.
        if fence.enter(record.epoch, record.life).unwrap_or(false) {
            for (worker, _) in self.all_sessions() {
                self.forget(&mut fence, worker, record.life);
            }
        }
        for &(worker, incarnation) in &record.raised {
            if fence.raise(worker, incarnation) {
                self.forget(&mut fence, worker, incarnation);
            }
        }
    }

    fn replay_push(&self, push: &PushRecord) {
        let PushRecord { id, oldest, clock_after, chunks, .. } = *push;
        let session = self.sessions.entry(id.worker).or_default().clone();
        let mut session = session.lock();
        if session.incarnation < id.incarnation {
            let (incarnation, counts) = (id.incarnation, session.counts);
            *session = Session { incarnation, window: Window::default(), counts };
        }
        if session.incarnation == id.incarnation && self.guards.windows {
            // Below the window it is known to be finished.
            let _ = session.window.begin(id.seq, oldest, clock_after, chunks);
            session.window.take_given_up();
        }
    }

    fn replay_chunk(&self, record: &ChunkRecord<'_>) -> Result<(), ReplayError> {
        let (id, chunk) = (record.id, record.chunk);
        let model = self.model().cloned();
        let place = model.and_then(|model| Some((model.index(chunk)?, model)));
        let (index, model) = place.ok_or(ReplayError::Chunk { id, chunk, shard: self.index })?;
        let result = match record.result {
            ChunkResult::Applied(version) => {
                Ok(self.apply_again(record, (&model, index), version)?)
            }
            ChunkResult::Refused(refusal) => Err(refusal),
        };
        let Some(session) = self.sessions.get(&id.worker).map(|session| session.clone()) else {
            return Ok(());
        };
        let mut session = session.lock();
        let bit = index as u32;
        let is_its_own = session.incarnation == id.incarnation && self.guards.windows;
        // What was written whole may have it already.
        if is_its_own && !session.window.is_done(id.seq, bit) {
            session.window.mark(id.seq, bit, result);
        }
        Ok(())
    }

    /// Applies it, unless what was written whole has it already; its staleness.
    fn apply_again(
        &self,
        record: &ChunkRecord<'_>,
        (model, index): (&ModelShard, usize),
        version: Version,
    ) -> Result<u64, ReplayError> {
        let (id, number) = (record.id, record.chunk);
        let mut chunk = model.chunks()[index].lock();
        let held = chunk.version();
        let staleness = version.saturating_sub(1).saturating_sub(record.pulled_version);
        if version <= held {
            return Ok(staleness);
        }
        if version != held + 1 {
            return Err(ReplayError::Order { id, chunk: number, found: version, held });
        }
        let mut scratch = self.scratch.take();
        let Scratch { buffer, decoded } = &mut *scratch;
        let failed = |reason: String| ReplayError::Other { id, chunk: number, reason };
        let sent = EncodedValues {
            encoding: record.encoding,
            values: record.values,
            positions: record.positions,
        };
        let values = if sent.is_plain() {
            record.values
        } else {
            let elements = model.elements(index);
            let covered = match record.spans.as_slice() {
                [] => elements,
                spans => span::check(spans, elements).map_err(|error| failed(error.to_string()))?,
            };
            let dense = decoded.values(covered);
            let wrong = |error: encoding::Error| failed(error.to_string());
            sent.decode(dense).map_err(wrong)?;
            bytemuck::cast_slice(dense)
        };
        let update = Update {
            spans: &record.spans,
            values,
            pulled_version: record.pulled_version,
            learning_rate: record.learning_rate,
            kind: record.kind,
            rules: model.rules(index),
        };
        let spec = &model.spec;
        let wrong = |error: chunk::Error| failed(error.to_string());
        match chunk.apply(&spec.optimizer, spec.correction, &update, buffer).map_err(wrong)? {
            Outcome::Applied { staleness } => Ok(staleness),
            Outcome::Refused(refusal) => Err(failed(refusal.to_string())),
        }
    }
}

#[cfg(test)]
mod tests;
