//! One push, applied exactly once.

use super::scratch::{Decoded, Scratch};
use super::{Held, Session, Shard};
use parking_lot::Mutex;
use ps_core::chunk::{self, Outcome, Update};
use ps_core::ids::Clock;
use ps_core::window::{self, Acknowledgement, Window};
use ps_core::{TensorKind, fence, span};
use ps_kernels::encoding;
use ps_proto::bulk;
use ps_proto::convert::data::PushStart;
use std::sync::Arc;
use std::time::Duration;

/// Why a push, or a part of it, is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too old, or too new.
    #[error(transparent)]
    Fenced(#[from] fence::Error),
    /// Outside the dedup window.
    #[error(transparent)]
    Window(#[from] window::Error),
    /// The shard holds no model yet.
    #[error("shard {0} holds no model yet: initialise it first")]
    NotInitialised(u32),
    /// A chunk that this shard does not have.
    #[error("chunk {index} is outside shard {shard}, which has {chunks} chunks")]
    NoSuchChunk {
        /// What was sent.
        index: u32,
        /// To which shard.
        shard: u32,
        /// How many it has.
        chunks: usize,
    },
    /// More chunks announced than the shard has.
    #[error("push of {found} chunks to shard {shard}, which has {chunks}")]
    TooManyChunks {
        /// Announced.
        found: u32,
        /// To which shard.
        shard: u32,
        /// How many it has.
        chunks: usize,
    },
    /// Gradients for state, or values for trainable tensors.
    #[error("chunk {index} holds {held:?} tensors, the push is of kind {found:?}")]
    Kind {
        /// The chunk.
        index: u32,
        /// What it holds.
        held: TensorKind,
        /// What was sent.
        found: TensorKind,
    },
    /// The payload does not fit the chunk.
    #[error("chunk {index}: {error}")]
    Malformed {
        /// The chunk.
        index: u32,
        /// What does not fit.
        error: chunk::Error,
    },
    /// The values are not what the push's encoding makes of the chunk's elements.
    #[error("chunk {index}: {error}")]
    Encoded {
        /// The chunk.
        index: u32,
        /// What does not fit.
        error: encoding::Error,
    },
    /// The push ended before all of its chunks came.
    #[error("push ended after {found} of {expected} chunks: send it again, whole")]
    Incomplete {
        /// Chunks that came, now or earlier.
        found: u32,
        /// Chunks that were announced.
        expected: u32,
    },
}

/// A push that a shard has begun to take.
pub struct Push<'a> {
    shard: &'a Shard,
    held: Arc<Held>,
    session: Arc<Mutex<Session>>,
    start: PushStart,
    seen: u32,
    was_finished: bool,
}

impl Shard {
    /// Opens a push, or meets it again.
    ///
    /// # Errors
    /// The caller is fenced, the push is outside the window, or cannot be meant for this shard.
    pub fn begin(&self, start: PushStart, now: Duration) -> Result<Push<'_>, Error> {
        let id = start.id;
        self.heard(start.epoch, id.worker, id.incarnation, now);
        let held = self.held().ok_or(Error::NotInitialised(self.index))?.clone();
        let chunks = held.chunks().len();
        if start.chunks_total as usize > chunks {
            let (found, shard) = (start.chunks_total, self.index);
            return Err(Error::TooManyChunks { found, shard, chunks });
        }
        let fence = self.check_fence(&start)?;
        let session = self.session(id.worker);
        let was_finished = {
            let mut state = session.lock();
            if state.incarnation < id.incarnation {
                *state = Session { incarnation: id.incarnation, window: Window::default() };
            }
            let window = &mut state.window;
            window.begin(id.seq, start.oldest, start.clock, start.chunks_total)?;
            let finished = window.acknowledgement(id.seq).is_some();
            self.dedup && finished && start.chunks_total > 0
        };
        drop(fence);
        let push = Push { shard: self, held, session, start, seen: 0, was_finished };
        push.advance_clock();
        Ok(push)
    }

    fn check_fence(
        &self,
        start: &PushStart,
    ) -> Result<parking_lot::RwLockReadGuard<'_, fence::Fence>, Error> {
        let fence = self.fence.read();
        match fence.check(start.epoch, start.id.worker, start.id.incarnation) {
            Ok(()) => Ok(fence),
            Err(error) => {
                self.counters.calls_fenced.add(1);
                Err(error.into())
            }
        }
    }
}

impl Push<'_> {
    /// Whether an earlier attempt finished it; its chunks need not be sent.
    pub fn was_finished(&self) -> bool {
        self.was_finished
    }

    /// Whether every chunk of it is applied or refused.
    pub fn is_complete(&self) -> bool {
        if !self.shard.dedup {
            return self.seen >= self.start.chunks_total;
        }
        self.session.lock().window.acknowledgement(self.start.id.seq).is_some()
    }

    /// The step that it ends.
    pub fn clock(&self) -> Clock {
        self.start.clock
    }

    /// Takes one chunk's values, of which `room` holds what came in pieces: under the chunk's lock,
    /// and with the fence held, epoch and
    /// incarnation check, dedup check, finite check, apply, mark.
    ///
    /// # Errors
    /// The caller was fenced meanwhile, or the payload does not fit; nothing of it was applied.
    pub fn take(&mut self, sent: &bulk::Chunk, room: &[u8]) -> Result<(), Error> {
        self.seen += 1;
        let (shard, start, index) = (self.shard, &self.start, sent.index);
        let chunks = self.held.chunks();
        let chunk = chunks.get(index as usize).ok_or(Error::NoSuchChunk {
            index,
            shard: shard.index,
            chunks: chunks.len(),
        })?;
        self.check_kind(index)?;
        // Ahead of the locks: whoever reads the chunk does not wait for it.
        let mut scratch = shard.scratches.take();
        let Scratch { spare, decoded } = &mut *scratch;
        let values = self.dense(sent, room, decoded)?;
        let _fence = shard.check_fence(start)?;
        let mut chunk = chunk.lock();
        if shard.dedup && self.session.lock().window.is_done(start.id.seq, index) {
            return Ok(());
        }
        let update = Update {
            spans: &sent.spans,
            values,
            pulled_version: sent.version,
            learning_rate: start.learning_rate,
            kind: start.kind,
        };
        let spec = &self.held.spec;
        let outcome = chunk
            .apply(&spec.optimizer, spec.correction, &update, spare)
            .map_err(|error| Error::Malformed { index, error })?;
        let outcome = match outcome {
            Outcome::Applied { staleness } => Ok(staleness),
            Outcome::Refused(refusal) => Err(refusal),
        };
        self.session.lock().window.mark(start.id.seq, index, outcome);
        drop(chunk);
        self.count(index, outcome);
        Ok(())
    }

    /// The acknowledgement, when every chunk is applied or refused; whether the push was finished
    /// before this call.
    ///
    /// # Errors
    /// Chunks are missing.
    pub fn finish(self) -> Result<(Acknowledgement, bool), Error> {
        self.advance_clock();
        let expected = self.start.chunks_total;
        let state = self.session.lock();
        let acknowledgement = state.window.acknowledgement(self.start.id.seq);
        let Some(acknowledgement) = acknowledgement else {
            return Err(Error::Incomplete { found: self.seen, expected });
        };
        let counters = &self.shard.counters;
        if self.was_finished {
            counters.pushes_duplicate.add(1);
        } else {
            counters.pushes_applied.add(1);
        }
        Ok((acknowledgement.clone(), self.was_finished))
    }

    /// The values as dense `f32`: as they came, or decoded.
    fn dense<'a>(
        &self,
        sent: &'a bulk::Chunk,
        room: &'a [u8],
        decoded: &'a mut Decoded,
    ) -> Result<&'a [u8], Error> {
        let received = encoding::Received {
            encoding: self.start.encoding,
            values: sent.values.bytes(room),
            positions: sent.positions.bytes(room),
        };
        if received.is_plain() {
            return Ok(received.values);
        }
        let (index, elements) = (sent.index, self.held.elements(sent.index as usize));
        if self.start.kind == TensorKind::State && !received.positions.is_empty() {
            return Err(Error::Encoded { index, error: encoding::Error::State });
        }
        let covered = match sent.spans.as_slice() {
            [] => elements,
            spans => span::check(spans, elements)
                .map_err(|error| Error::Malformed { index, error: error.into() })?,
        };
        let values = decoded.room(covered);
        received.decode(values).map_err(|error| Error::Encoded { index, error })?;
        Ok(bytemuck::cast_slice(values))
    }

    fn check_kind(&self, index: u32) -> Result<(), Error> {
        let (held, found) = (self.held.kind(index as usize), self.start.kind);
        if held == found { Ok(()) } else { Err(Error::Kind { index, held, found }) }
    }

    fn count(&self, index: u32, outcome: Result<u64, chunk::Refusal>) {
        match outcome {
            Ok(_) => self.shard.counters.chunks_applied.add(1),
            Err(refusal) => {
                self.shard.counters.chunks_refused.add(1);
                let id = self.start.id;
                tracing::warn!("{id}: chunk {index} refused: {refusal:?}");
            }
        }
    }

    /// Tells the gate how far this worker's pushes are applied here.
    fn advance_clock(&self) {
        let clock = self.session.lock().window.clock();
        let id = self.start.id;
        if self.shard.gate.lock().advance(id.worker, id.incarnation, clock) {
            self.shard.gate_changed.send_replace(());
        }
    }
}
