//! A shard's file as it is read again.

mod fields;

use super::snapshot::{CHUNK_ENDS, UPDATES, VERSIONS, WEIGHTS, slot_name};
use super::{File, FileError, Sessions};
use crate::ids::{Epoch, ShardId};
use crate::safetensors_file;
use crate::unexpected::Unexpected;
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
        let error = FileError::of(&file.name);
        let found = bytes.len() as u64;
        Unexpected::unless(found == file.bytes, "bytes", found, file.bytes).map_err(&error)?;
        let crc = crc32fast::hash(bytes);
        let (found, expected) = (format!("{crc:#010x}"), format!("{:#010x}", file.crc));
        Unexpected::unless(crc == file.crc, "CRC-32", found, expected).map_err(&error)?;
        let stored = Self::decode(&file.name, bytes)?;
        let (found, expected) = (stored.shard, file.shard);
        Unexpected::unless(found == expected, "shard", found, expected).map_err(&error)?;
        let (range, listed) = (stored.elements(), &file.elements);
        let same = range.start as u64 == listed.start && range.end as u64 == listed.end;
        let (found, expected) = (format!("{range:?}"), format!("{listed:?}"));
        Unexpected::unless(same, "elements", found, expected).map_err(&error)?;
        Ok(stored)
    }

    /// Opens a file of which nothing is known.
    ///
    /// # Errors
    /// It is not a shard's file of this format.
    pub fn decode(name: &str, bytes: &'a [u8]) -> Result<Self, FileError> {
        Self::read(name, bytes).map_err(FileError::of(name))
    }

    fn read(name: &str, bytes: &'a [u8]) -> Result<Self, Unexpected> {
        let archive = safetensors_file::open(bytes);
        let archive =
            archive.map_err(|error| Unexpected::new("content", error, "a shard's file"))?;
        let metadata = fields::metadata(&archive)?;
        let ends = fields::counts(&archive, CHUNK_ENDS, None)?;
        let chunks = Some(ends.len());
        let (start, end) = (metadata.start, metadata.end);
        fields::check_ends(start, end, &ends)?;
        let elements = (end - start) as usize;
        let slots: Result<Vec<_>, _> = (0..metadata.slots)
            .map(|slot| fields::floats(&archive, &slot_name(slot), elements))
            .collect();
        let stored = Self {
            name: name.to_owned(),
            shard: metadata.shard,
            shards: metadata.shards,
            epoch: metadata.epoch,
            start: start as usize,
            versions: fields::counts(&archive, VERSIONS, chunks)?,
            updates: fields::counts(&archive, UPDATES, chunks)?,
            weights: fields::floats(&archive, WEIGHTS, elements)?,
            slots: slots?,
            ends,
            sessions: fields::sessions(metadata)?,
        };
        // Whatever else is in the file is not understood, so it may matter.
        let (found, expected) = (archive.tensors.len(), 4 + stored.slots.len());
        Unexpected::unless(found == expected, "number of tensors", found, expected)?;
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

    /// The epoch that the shard was in.
    pub fn epoch(&self) -> Epoch {
        self.epoch
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
}
