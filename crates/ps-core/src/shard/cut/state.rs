//! A cut, as pushes see it. It costs them one look while none is taken.

use super::kept::Kept;
use super::{CutEnds, CutId};
use crate::chunk::{Chunk, NonFinite};
use crate::chunk_set::ChunkSet;
use crate::ids::{Clock, Incarnation, PushId, Seq, WorkerId};
use crate::shard::Error;
use crate::window::Window;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a shard remembers of each worker's pushes that are in the cut.
pub(super) type Windows = BTreeMap<WorkerId, (Incarnation, Window)>;

#[derive(Debug, Default)]
enum Stage {
    #[default]
    None,
    /// Nothing is begun but what is begun here, until the cut is open.
    Prepared {
        id: CutId,
        ends: CutEnds,
        until: Duration,
    },
    Open(Box<Open>),
}

#[derive(Debug)]
struct Open {
    id: CutId,
    ends: CutEnds,
    windows: Windows,
    kept: Kept,
    kept_bytes_max: usize,
    /// Chunks that are copied.
    copied: ChunkSet,
    came_late: u64,
}

/// Which generation of a chunk a push changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Generation {
    /// There is one only.
    One,
    /// It is in the cut.
    Both,
    /// It is not: the one in the cut stays as it is.
    Newer,
}

/// The shard's part of a cut that is taken.
#[derive(Debug, Default)]
pub(in crate::shard) struct Cutting {
    is_begun: AtomicBool,
    stage: Mutex<Stage>,
    /// The last that was opened: what comes late of it holds nobody.
    last: Mutex<Option<CutId>>,
}

impl Cutting {
    pub(super) fn is_begun(&self) -> bool {
        self.is_begun.load(Ordering::Acquire)
    }

    /// Has what is begun here be all of it until then; false where this cut is open, or a later one is known. An
    /// earlier one is given up. The fence is locked for writing.
    pub(super) fn prepare(&self, id: CutId, ends: CutEnds, until: Duration) -> bool {
        let mut stage = self.stage.lock();
        let is_over = match &*stage {
            Stage::Prepared { id: known, .. } if *known > id => true,
            _ => self.last.lock().is_some_and(|last| last >= id),
        };
        if !is_over {
            *stage = Stage::Prepared { id, ends, until };
            self.is_begun.store(true, Ordering::Release);
        }
        !is_over
    }

    /// Whether it is open. The fence is locked for writing.
    pub(super) fn open(
        &self,
        id: CutId,
        ends: &CutEnds,
        windows: Windows,
        now: Duration,
        kept_bytes_max: usize,
    ) -> bool {
        let mut stage = self.stage.lock();
        let Stage::Prepared { id: prepared, ends: begun, until } = &*stage else { return false };
        // What was begun here since it was last asked is in no cut that knows nothing of it.
        let is_this = *prepared == id && now < *until && begun.is_within(ends);
        if !is_this {
            return false;
        }
        *self.last.lock() = Some(id);
        *stage = Stage::Open(Box::new(Open {
            id,
            ends: ends.clone(),
            windows,
            kept: Kept::default(),
            kept_bytes_max,
            copied: ChunkSet::default(),
            came_late: 0,
        }));
        true
    }

    /// Whether this cut is open, and was not given up for another.
    pub(super) fn is_open(&self, id: CutId) -> bool {
        matches!(&*self.stage.lock(), Stage::Open(open) if open.id == id)
    }

    /// Gives up the cut that is open, whichever it is.
    pub(super) fn give_up(&self) {
        let mut stage = self.stage.lock();
        if matches!(&*stage, Stage::Open(_)) {
            self.forget(&mut stage);
        }
    }

    /// The chunk that is to be copied next: one that is in memory twice, so that there is room for others, or this one, or
    /// the next after it. `None` after the last of so many.
    pub(super) fn next(&self, from: usize, chunks: usize) -> Option<usize> {
        let Stage::Open(open) = &*self.stage.lock() else { return Some(from) };
        let kept = open.kept.first();
        kept.or_else(|| (from..chunks).find(|index| !open.copied.contains(*index)))
    }

    pub(super) fn end(&self, id: CutId) {
        let mut stage = self.stage.lock();
        if matches!(&*stage, Stage::Open(open) if open.id == id) {
            self.forget(&mut stage);
        }
    }

    /// Pushes see none any more.
    fn forget(&self, stage: &mut Stage) {
        *stage = Stage::None;
        self.is_begun.store(false, Ordering::Release);
    }

    /// Whether a push may be begun now. The fence is locked for reading.
    pub(in crate::shard) fn check_begin(&self, id: &PushId, now: Duration) -> Result<(), Error> {
        if !self.is_begun() {
            return Ok(());
        }
        let mut stage = self.stage.lock();
        match &*stage {
            Stage::Prepared { until, .. } if now >= *until => {
                self.forget(&mut stage);
                Ok(())
            }
            Stage::Prepared { ends, until, .. } if !ends.contains(id) => {
                Err(Error::CutIsPrepared { until: *until })
            }
            _ => Ok(()),
        }
    }

    /// A push was begun, or met again.
    pub(in crate::shard) fn begun(
        &self,
        id: &PushId,
        oldest: Seq,
        clock_after: Clock,
        chunks: u32,
    ) {
        self.with_window(id, |window| {
            // As in the shard's own window, where it was let through.
            let _ = window.begin(id.seq, oldest, clock_after, chunks);
        });
    }

    /// What a push changes of a chunk, which is locked.
    pub(in crate::shard) fn generation(&self, id: &PushId, index: usize) -> Generation {
        if !self.is_begun() {
            return Generation::One;
        }
        match &*self.stage.lock() {
            Stage::Open(open) if open.copied.contains(index) => Generation::One,
            Stage::Open(open) if open.ends.contains(id) => Generation::Both,
            Stage::Open(_) => Generation::Newer,
            Stage::None | Stage::Prepared { .. } => Generation::One,
        }
    }

    /// Keeps a chunk, which is locked, as it is, unless an older generation of it is kept already.
    pub(in crate::shard) fn keep(&self, index: usize, chunk: &Chunk) {
        if let Stage::Open(open) = &mut *self.stage.lock()
            && !open.kept.contains(index)
        {
            open.kept.insert(index, chunk.clone());
        }
    }

    /// Changes the older generation of a chunk, which is locked, if there is one.
    pub(in crate::shard) fn change_kept(&self, index: usize, change: impl FnOnce(&mut Chunk)) {
        let take = |stage: &mut Stage| match stage {
            Stage::Open(open) => open.kept.take(index),
            Stage::None | Stage::Prepared { .. } => None,
        };
        // Not with the stage locked: others need it for other chunks.
        let taken = take(&mut self.stage.lock());
        if let Some(mut chunk) = taken {
            change(&mut chunk);
            if let Stage::Open(open) = &mut *self.stage.lock() {
                open.kept.insert(index, chunk);
            }
        }
    }

    /// A push that is in the cut was applied to a chunk, or refused; both are locked, as is its session.
    pub(in crate::shard) fn mark(&self, id: &PushId, bit: u32, result: Result<u64, NonFinite>) {
        self.with_window(id, |window| window.mark(id.seq, bit, result));
    }

    /// What the window in the cut is told of a push that is in it.
    fn with_window(&self, id: &PushId, tell: impl FnOnce(&mut Window)) {
        if !self.is_begun() {
            return;
        }
        let mut stage = self.stage.lock();
        let Stage::Open(open) = &mut *stage else { return };
        if !open.ends.contains(id) {
            return;
        }
        let session = open.windows.entry(id.worker).or_default();
        if session.0 < id.incarnation {
            *session = (id.incarnation, Window::default());
        }
        if session.0 == id.incarnation {
            tell(&mut session.1);
            open.came_late += 1;
        }
    }

    /// Whether a push may change these chunks without more memory than there is.
    pub(super) fn has_room(&self, id: &PushId, mut chunks: Range<usize>) -> bool {
        match &*self.stage.lock() {
            Stage::Open(open) if open.is_full() && !open.ends.contains(id) => {
                chunks.all(|index| open.copied.contains(index) || open.kept.contains(index))
            }
            _ => true,
        }
    }

    /// Whether half of the memory for older generations is in use.
    pub(super) fn is_filling(&self) -> bool {
        matches!(&*self.stage.lock(), Stage::Open(open) if open.kept.bytes() >= open.kept_bytes_max / 2)
    }

    /// The next chunk, which is locked, is copied: its older generation, if there are two, and whether somebody may
    /// wait for its memory. `None`: the cut was given up.
    pub(super) fn copied(&self, id: CutId, index: usize) -> Option<(Option<Chunk>, bool)> {
        let mut stage = self.stage.lock();
        let Stage::Open(open) = &mut *stage else { return None };
        if open.id != id {
            return None;
        }
        open.copied.add(index);
        // Whoever waits may have another chunk, which is copied now.
        let was_full = open.is_full();
        Some((open.kept.take(index), was_full))
    }

    pub(super) fn came_late(&self, id: CutId) -> u64 {
        match &*self.stage.lock() {
            Stage::Open(open) if open.id == id => open.came_late,
            _ => 0,
        }
    }

    /// `None`: the cut was given up.
    pub(super) fn windows(&self, id: CutId) -> Option<Windows> {
        match &mut *self.stage.lock() {
            Stage::Open(open) if open.id == id => Some(std::mem::take(&mut open.windows)),
            _ => None,
        }
    }

    /// Pushes of which a part is in the cut.
    pub(super) fn torn(&self, id: CutId) -> Vec<PushId> {
        let stage = self.stage.lock();
        let Stage::Open(open) = &*stage else { return Vec::new() };
        if open.id != id {
            return Vec::new();
        }
        let torn = open.windows.iter().flat_map(|(&worker, (incarnation, window))| {
            let torn = window.in_work().filter(|(_, done)| !done.is_empty());
            torn.map(move |(seq, _)| PushId { worker, incarnation: *incarnation, seq })
        });
        torn.collect()
    }
}

impl Open {
    fn is_full(&self) -> bool {
        self.kept.bytes() >= self.kept_bytes_max
    }
}
