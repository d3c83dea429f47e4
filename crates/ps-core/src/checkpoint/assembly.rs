//! A shard's part, put together from the files of a checkpoint that any number of servers wrote.

use super::{File, FileError, StoredShard, names};
use crate::chunk::{self, Chunk, ChunkSnapshot};
use crate::ids::{Incarnation, ShardId, WorkerId};
use crate::limits::CHUNK_ELEMENTS_MAX;
use crate::model_spec::ModelSpec;
use crate::unexpected::Unexpected;
use crate::window::Window;
use std::collections::BTreeMap;
use std::ops::Range;

/// What a shard goes on from.
#[derive(Debug)]
pub struct RestoredShard {
    /// The chunks of today's cut.
    pub chunks: Vec<Chunk>,
    /// What is remembered of the workers.
    pub sessions: BTreeMap<WorkerId, (Incarnation, Window)>,
}

/// The files of a checkpoint that a shard needs, after a check that together they are all of it.
///
/// # Errors
/// A file is of another checkpoint, missing or twice, or they do not tile the model.
pub fn needed<'f>(
    files: &'f [File],
    number: u64,
    spec: &ModelSpec,
    shard: ShardId,
) -> Result<Vec<&'f File>, FileError> {
    let mut sorted: Vec<&File> = files.iter().collect();
    sorted.sort_by_key(|file| file.shard);
    let shards = sorted.len() as u32;
    let mut next = 0;
    for (expected, file) in (0..).zip(&sorted) {
        file.check()?;
        let (name, start) = (names::shard_file(number, expected, shards), file.elements.start);
        Unexpected::unless(file.name == name, "name", &file.name, &name)
            .and_then(|()| Unexpected::unless(start == next, "first element", start, next))
            .map_err(FileError::of(&file.name))?;
        next = file.elements.end;
    }
    if let Some(last) = sorted.last() {
        let elements = spec.layout.elements() as u64;
        Unexpected::unless(next == elements, "end of the model", next, elements)
            .map_err(FileError::of(&last.name))?;
    }
    let range = spec.partition().range(shard);
    let overlaps = |file: &&File| {
        let (start, end) = (file.elements.start, file.elements.end);
        start.max(range.start as u64) < end.min(range.end as u64)
    };
    // A shard without elements still remembers workers.
    let is_own = |file: &&File| shards == spec.shards && file.shard == shard;
    sorted.retain(|file| overlaps(file) || is_own(file));
    Ok(sorted)
}

/// A shard's part as its files come, each only once and in any order.
#[derive(Debug)]
pub struct Assembly {
    shard: ShardId,
    shards: u32,
    slots: usize,
    optimizer: &'static str,
    ranges: Vec<Range<usize>>,
    chunks: Vec<ChunkSnapshot>,
    /// Elements that no file has held yet.
    missing: usize,
    sessions: BTreeMap<WorkerId, (Incarnation, Window)>,
}

impl Assembly {
    /// An empty part of this shard.
    pub fn new(spec: &ModelSpec, shard: ShardId) -> Self {
        let ranges = spec.partition().chunks(shard);
        let slots = spec.optimizer.slots();
        let empty = |range: &Range<usize>| ChunkSnapshot {
            weights: vec![0.0; range.len()],
            slots: vec![vec![0.0; range.len()]; slots],
            version: 0,
            updates: 0,
        };
        Self {
            shard,
            shards: spec.shards,
            slots,
            optimizer: spec.optimizer.name(),
            chunks: ranges.iter().map(empty).collect(),
            missing: ranges.iter().map(ExactSizeIterator::len).sum(),
            ranges,
            sessions: BTreeMap::new(),
        }
    }

    /// Takes what a file holds of this part.
    ///
    /// # Errors
    /// It was written with another optimizer.
    pub fn add(&mut self, stored: &StoredShard<'_>) -> Result<(), FileError> {
        let (found, expected) = (stored.slots(), self.slots);
        let advice = format!("{expected} for {}: use the same optimizer", self.optimizer);
        let what = "state vectors of the optimizer";
        Unexpected::unless(found == expected, what, found, advice)
            .map_err(FileError::of(stored.name()))?;
        for (index, range) in stored.ranges().enumerate() {
            let counts = stored.counts(index);
            let first = self.ranges.partition_point(|own| own.end <= range.start);
            for position in first..self.ranges.len() {
                let own = &self.ranges[position];
                let both = own.start.max(range.start)..own.end.min(range.end);
                if both.is_empty() {
                    break;
                }
                self.missing = self.missing.saturating_sub(both.len());
                copy(&mut self.chunks[position], own.start, stored, &both, counts);
            }
        }
        self.remember(stored);
        Ok(())
    }

    /// A shard of the same cut goes on remembering exactly what it did. Another one cannot say which chunks
    /// an unfinished push has reached: whatever was begun is stale from now on.
    fn remember(&mut self, stored: &StoredShard<'_>) {
        let same_cut = stored.cut() == (self.shard, self.shards)
            && stored.ranges().eq(self.ranges.iter().cloned());
        for (&worker, (incarnation, parts)) in stored.sessions() {
            // Checked when the file was opened.
            let Ok(window) = Window::from_snapshot(parts.clone()) else { continue };
            let window = if same_cut { window } else { window.closed() };
            let joined = match self.sessions.remove(&worker) {
                Some(known) if known.0 > *incarnation => known,
                Some((known, joined)) if known == *incarnation => {
                    (known, joined.join_closed(&window))
                }
                _ => (*incarnation, window),
            };
            self.sessions.insert(worker, joined);
        }
    }

    /// The part, when the files held all of it.
    ///
    /// # Errors
    /// Elements are missing, or a value is not finite.
    pub fn finish(self) -> Result<RestoredShard, Error> {
        if self.missing > 0 {
            return Err(Error::Missing { shard: self.shard, elements: self.missing });
        }
        let shard = self.shard;
        let chunks =
            self.chunks.into_iter().map(Chunk::from_snapshot).collect::<Result<Vec<_>, _>>();
        let chunks = chunks.map_err(|error| Error::Chunk { shard, error })?;
        Ok(RestoredShard { chunks, sessions: self.sessions })
    }
}

/// Why files do not make a shard's part.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    /// Not all of it was there.
    #[error("shard {shard}: {elements} elements are in none of the checkpoint's files")]
    Missing { shard: ShardId, elements: usize },
    /// A value that no chunk holds.
    #[error("shard {shard}: {error}")]
    Chunk { shard: ShardId, error: chunk::Error },
}

/// Copies what both a file's chunk and one of today's hold. Where their borders are the same the
/// counts are exact; a chunk that is made of several takes the largest, so that no version that was
/// seen is ever given to other weights.
fn copy(
    chunk: &mut ChunkSnapshot,
    start: usize,
    stored: &StoredShard<'_>,
    both: &Range<usize>,
    (version, updates): (u64, u64),
) {
    debug_assert!(chunk.weights.len() <= CHUNK_ELEMENTS_MAX, "cut by the partition");
    let own = both.start - start..both.end - start;
    stored.copy_weights(both, &mut chunk.weights[own.clone()]);
    for (slot, values) in chunk.slots.iter_mut().enumerate() {
        stored.copy_slot(slot, both, &mut values[own.clone()]);
    }
    chunk.version = chunk.version.max(version);
    chunk.updates = chunk.updates.max(updates);
}
