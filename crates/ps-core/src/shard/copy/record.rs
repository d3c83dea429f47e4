//! What is written down of pushes while a shard is copied.

use crate::chunk_set::ChunkSet;
use crate::ids::{ChunkId, Incarnation, PushId, Seq, WorkerId};
use crate::window::WindowSnapshot;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Pushes that are written down before it is looked which of them are over. A thousand workers with
/// a few pushes each on their way stay below it.
const PUSHES_MAX: usize = 8 * 1024;

/// Chunks that one push touched while the shard was copied.
#[derive(Debug, Default)]
struct Touched {
    /// Before they were copied: the copy holds it.
    held: ChunkSet,
    /// After they were copied: the copy lacks it.
    lacking: ChunkSet,
}

#[derive(Debug, Default)]
struct Record {
    pushes: BTreeMap<PushId, Touched>,
    /// Of pushes that are over and not in the record any more.
    torn: u64,
}

/// A shard's copy, as pushes see it. It costs them one look while none is taken.
#[derive(Debug, Default)]
pub(in crate::shard) struct Copying {
    is_begun: AtomicBool,
    /// Chunks that are copied, from the shard's first on. It passes a chunk only with that chunk's lock held,
    /// so that whoever has the lock reads which side its chunk is on.
    copied: AtomicUsize,
    record: Mutex<Record>,
}

impl Copying {
    /// Begins a copy, unless one was begun.
    pub(super) fn begin(&self) -> bool {
        let mut record = self.record.lock();
        if self.is_begun.load(Ordering::Acquire) {
            return false;
        }
        *record = Record::default();
        self.copied.store(0, Ordering::Release);
        self.is_begun.store(true, Ordering::Release);
        true
    }

    pub(super) fn end(&self) {
        let mut record = self.record.lock();
        self.is_begun.store(false, Ordering::Release);
        *record = Record::default();
    }

    /// A push is about to be marked as done on this chunk, whose lock and whose session's lock are held.
    pub(in crate::shard) fn note(&self, id: PushId, index: usize) {
        if !self.is_begun.load(Ordering::Acquire) {
            return;
        }
        let is_copied = index < self.copied.load(Ordering::Acquire);
        let mut record = self.record.lock();
        let touched = record.pushes.entry(id).or_default();
        let set = if is_copied { &mut touched.lacking } else { &mut touched.held };
        set.add(index);
    }

    /// What a push had done before anything was copied.
    pub(super) fn was_done(&self, id: PushId, done: &ChunkSet) {
        self.record.lock().pushes.entry(id).or_default().held.extend(done);
    }

    /// This chunk is copied; its lock is held.
    pub(super) fn copied(&self, index: usize) {
        self.copied.store(index + 1, Ordering::Release);
    }

    /// Has a window say what is in the copy; its session's lock is held.
    pub(super) fn amend(
        &self,
        worker: WorkerId,
        incarnation: Incarnation,
        window: &mut WindowSnapshot,
        first: ChunkId,
    ) {
        let mut record = self.record.lock();
        let id = |seq: Seq| PushId { worker, incarnation, seq };
        let seqs: Vec<Seq> = window.pushes.iter().map(|push| push.seq).collect();
        for seq in seqs {
            // What stays in the record is not in any window.
            let touched = record.pushes.remove(&id(seq));
            if let Some(touched) = touched.filter(|touched| !touched.lacking.is_empty()) {
                window.keep(seq, &touched.held, first);
            }
        }
    }

    /// Pushes that are torn in the copy and that nobody sends again: those of no window.
    pub(super) fn torn(&self) -> u64 {
        let record = self.record.lock();
        record.torn + record.pushes.values().filter(|touched| touched.is_torn()).count() as u64
    }

    pub(super) fn is_large(&self) -> bool {
        self.record.lock().pushes.len() > PUSHES_MAX
    }

    /// Forgets the pushes that are over: `current` says a worker's incarnation, and its oldest push that may
    /// still be sent again.
    pub(super) fn forget(&self, current: impl Fn(WorkerId) -> Option<(Incarnation, Seq)>) {
        // Not with the record locked: whoever writes into it holds a session's lock.
        let workers: Vec<WorkerId> = {
            let record = self.record.lock();
            let mut workers: Vec<_> = record.pushes.keys().map(|id| id.worker).collect();
            workers.dedup();
            workers
        };
        for worker in workers {
            let Some(oldest) = current(worker) else { continue };
            let Record { pushes, torn } = &mut *self.record.lock();
            pushes.retain(|id, touched| {
                let is_over = id.worker == worker && (id.incarnation, id.seq) < oldest;
                *torn += u64::from(is_over && touched.is_torn());
                !is_over
            });
        }
    }
}

impl Touched {
    fn is_torn(&self) -> bool {
        !self.held.is_empty() && !self.lacking.is_empty()
    }
}
