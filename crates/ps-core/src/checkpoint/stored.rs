//! A shard's file as it is read again.

mod reading;

use super::snapshot::{CHUNK_ENDS, UPDATES, VERSIONS, WEIGHTS, slot_name};
use super::{File, FileError, Sessions, ShardSnapshot};
use crate::chunk::ChunkSnapshot;
use crate::ids::{Epoch, ShardId};
use crate::safetensors_file;
use reading::Reading;
use std::ops::Range;

/// A shard's file, opened and checked; the chunks stay in it until they are asked for.
#[derive(Debug)]
pub struct StoredShard<'a> {
    name: String,
    shard: ShardId,
    shards: u32,
    epoch: Epoch,
    start: usize,
    ends: Vec<u64>,
    versions: Vec<u64>,
    updates: Vec<u64>,
    weights: &'a [u8],
    slots: Vec<&'a [u8]>,
    sessions: Sessions,
}

impl<'a> StoredShard<'a> {
    /// Opens the file that a manifest lists.
    ///
    /// # Errors
    /// It is not that file, whole and unchanged, or not a shard's file at all.
    pub fn open(file: &File, bytes: &'a [u8]) -> Result<Self, FileError> {
        file.check()?;
        let found = bytes.len() as u64;
        file.expect("bytes", found, file.bytes, found == file.bytes)?;
        let crc = crc32fast::hash(bytes);
        let (found, expected) = (format!("{crc:#010x}"), format!("{:#010x}", file.crc));
        file.expect("CRC-32", found, expected, crc == file.crc)?;
        let stored = Self::decode(&file.name, bytes)?;
        file.expect("shard", stored.shard, file.shard, stored.shard == file.shard)?;
        let (range, listed) = (stored.elements(), &file.elements);
        let same = range.start as u64 == listed.start && range.end as u64 == listed.end;
        file.expect("elements", format!("{range:?}"), format!("{listed:?}"), same)?;
        Ok(stored)
    }

    /// Opens a file of which nothing is known.
    ///
    /// # Errors
    /// It is not a shard's file of this format.
    pub fn decode(name: &str, bytes: &'a [u8]) -> Result<Self, FileError> {
        let read = Reading { name };
        let archive = safetensors_file::open(bytes);
        let archive = archive.map_err(|error| read.error("content", error, "a shard's file"))?;
        let metadata = read.metadata(&archive)?;
        let ends = read.counts(&archive, CHUNK_ENDS, None)?;
        let chunks = Some(ends.len());
        let (start, end) = (metadata.start, metadata.end);
        read.check_ends(start, end, &ends)?;
        let elements = (end - start) as usize;
        let slots: Result<Vec<_>, _> = (0..metadata.slots)
            .map(|slot| read.floats(&archive, &slot_name(slot), elements))
            .collect();
        let stored = Self {
            name: name.to_owned(),
            shard: metadata.shard,
            shards: metadata.shards,
            epoch: metadata.epoch,
            start: start as usize,
            versions: read.counts(&archive, VERSIONS, chunks)?,
            updates: read.counts(&archive, UPDATES, chunks)?,
            weights: read.floats(&archive, WEIGHTS, elements)?,
            slots: slots?,
            ends,
            sessions: read.sessions(metadata)?,
        };
        // Whatever else is in the file is not understood, so it may matter.
        let (found, expected) = (archive.tensors.len(), 4 + stored.slots.len());
        read.expect("number of tensors", found, expected, found == expected)?;
        Ok(stored)
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which shard wrote it, of how many.
    pub fn cut(&self) -> (ShardId, u32) {
        (self.shard, self.shards)
    }

    /// Elements of the whole model that it holds.
    pub fn elements(&self) -> Range<usize> {
        self.start..self.ends.last().map_or(self.start, |&end| end as usize)
    }

    /// State vectors of the optimizer that wrote it.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Its chunks, as element ranges of the whole model.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let starts = std::iter::once(self.start as u64).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| start as usize..end as usize)
    }

    /// A chunk's version and updates.
    pub(super) fn counts(&self, chunk: usize) -> (u64, u64) {
        (self.versions[chunk], self.updates[chunk])
    }

    /// Copies the weights of a range of elements that it holds.
    pub(super) fn copy_weights(&self, range: &Range<usize>, into: &mut [f32]) {
        self.copy(self.weights, range, into);
    }

    /// Copies a state vector's values for a range of elements that it holds.
    pub(super) fn copy_slot(&self, slot: usize, range: &Range<usize>, into: &mut [f32]) {
        self.copy(self.slots[slot], range, into);
    }

    fn copy(&self, values: &[u8], range: &Range<usize>, into: &mut [f32]) {
        let (start, end) = (range.start - self.start, range.end - self.start);
        let bytes = &values[start * size_of::<f32>()..end * size_of::<f32>()];
        bytemuck::cast_slice_mut(into).copy_from_slice(bytes);
    }

    /// What the shard remembered of the workers.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// All of it.
    pub fn snapshot(&self) -> ShardSnapshot {
        let chunk = |(index, range): (usize, Range<usize>)| {
            let mut weights = vec![0.0; range.len()];
            self.copy_weights(&range, &mut weights);
            let mut slots = vec![vec![0.0; range.len()]; self.slots.len()];
            for (slot, values) in slots.iter_mut().enumerate() {
                self.copy_slot(slot, &range, values);
            }
            let (version, updates) = self.counts(index);
            ChunkSnapshot { weights, slots, version, updates }
        };
        ShardSnapshot {
            shard: self.shard,
            shards: self.shards,
            start: self.start,
            slots: self.slots.len(),
            epoch: self.epoch,
            chunks: self.ranges().enumerate().map(chunk).collect(),
            sessions: self.sessions.clone(),
        }
    }
}
