//! A shard's file as it is read again: its ends first, then any chunk of it.

use super::header::Metadata;
use super::places::{HEADER_BYTES, Places};
use super::tail::{Remembered, Tail};
use super::{File, FileError};
use crate::chunk::{Chunk, ChunkSnapshot};
use crate::ids::ChunkId;
use crate::model_spec::ModelSpec;
use crate::unexpected::Unexpected;
use std::ops::Range;

/// A shard's file of which all but the values is read and checked.
#[derive(Debug)]
pub struct StoredShard {
    name: String,
    places: Places,
    tail: Tail,
    remembered: Remembered,
}

impl StoredShard {
    /// Opens the file that a manifest lists, one of so many, which has this length, through `read_at`, which
    /// fills memory from a place in the file.
    ///
    /// # Errors
    /// It cannot be read, or is not that file, whole and unchanged, or not a shard's file of this model at
    /// all.
    pub fn open<E: From<FileError>>(
        file: &File,
        shards: u32,
        spec: &ModelSpec,
        bytes: u64,
        mut read_at: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let error = FileError::of(&file.name);
        Unexpected::unless(bytes == file.bytes, "bytes", bytes, file.bytes).map_err(&error)?;
        let places = Places::new(spec, file.shard, shards);
        let expected = format!("at least {}", places.tail());
        Unexpected::unless(bytes >= places.tail(), "bytes", bytes, expected).map_err(&error)?;
        let mut header = [0; HEADER_BYTES];
        read_at(0, &mut header)?;
        let metadata =
            check_crc(&header, file.crc).and_then(|()| Metadata::decode(&header, &places));
        let metadata = metadata.map_err(&error)?;
        let length = Tail::counts_bytes(places.chunks().len()) + metadata.sessions_bytes;
        let expected = places.tail() + length as u64;
        Unexpected::unless(bytes == expected, "bytes", bytes, expected).map_err(&error)?;
        let mut tail = vec![0; length];
        read_at(places.tail(), &mut tail)?;
        let decoded = check_crc(&tail, metadata.tail_crc)
            .and_then(|()| Tail::decode(&tail, &places.chunks()));
        let (tail, remembered) = decoded.map_err(&error)?;
        let name = file.name.clone();
        Ok(Self { name, places, tail, remembered })
    }

    /// Opens a file as [`Self::open`] does and reads it from its first to its last byte: each chunk is handed on, and
    /// forgotten before the next one is read.
    ///
    /// # Errors
    /// As [`Self::open`] and [`Self::each`].
    pub fn read_all<E: From<FileError>>(
        file: &File,
        shards: u32,
        spec: &ModelSpec,
        bytes: u64,
        mut read_at: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
        take: impl FnMut(ChunkId, Chunk) -> Result<(), E>,
    ) -> Result<Self, E> {
        let stored = Self::open(file, shards, spec, bytes, &mut read_at)?;
        stored.each(stored.chunks(), read_at, take)?;
        Ok(stored)
    }

    /// The chunks that it holds.
    pub fn chunks(&self) -> Range<ChunkId> {
        self.places.chunks()
    }

    /// What the shard remembered of pushes.
    pub fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    /// Reads these of its chunks, one after another into memory of its own each, and hands them on. Whoever goes on
    /// from a file, or only checks it, reads it here.
    ///
    /// # Errors
    /// It cannot be read, was changed, or holds a value that is not finite; or what `take` says.
    pub fn each<E: From<FileError>>(
        &self,
        chunks: Range<ChunkId>,
        mut read_at: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
        mut take: impl FnMut(ChunkId, Chunk) -> Result<(), E>,
    ) -> Result<(), E> {
        for id in chunks {
            let chunk = Chunk::from_snapshot(self.chunk(id, &mut read_at)?).map_err(|error| {
                let found = format!("chunk {id}: {error}");
                FileError::of(&self.name)(Unexpected::new("values", found, "those of a model"))
            })?;
            take(id, chunk)?;
        }
        Ok(())
    }

    /// Reads one of its chunks through `read_at`, which fills memory from a place in the file.
    fn chunk<E: From<FileError>>(
        &self,
        id: ChunkId,
        mut read_at: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<ChunkSnapshot, E> {
        let elements = self.places.chunk_elements(id);
        let mut vectors = Vec::with_capacity(1 + self.places.slots);
        for vector in 0..=self.places.slots {
            let mut values = vec![0.0_f32; elements];
            let place = self.places.values(id, vector);
            read_at(place, bytemuck::cast_slice_mut(&mut values))?;
            vectors.push(values);
        }
        let slots = vectors.split_off(1);
        let index = (id - self.chunks().start) as usize;
        let chunk = ChunkSnapshot {
            weights: vectors.pop().unwrap_or_default(),
            slots,
            version: self.tail.versions[index],
            updates: self.tail.updates[index],
        };
        let (found, expected) = (chunk.checksum(), self.tail.checksums[index]);
        if found == expected {
            return Ok(chunk);
        }
        let found = format!("{found:#010x} of chunk {id}");
        let problem = Unexpected::new("CRC-32", found, format!("{expected:#010x}"));
        Err(FileError { name: self.name.clone(), problem }.into())
    }
}

fn check_crc(bytes: &[u8], expected: u32) -> Result<(), Unexpected> {
    let crc = crc32fast::hash(bytes);
    let (found, wanted) = (format!("{crc:#010x}"), format!("{expected:#010x}"));
    Unexpected::unless(crc == expected, "CRC-32", found, wanted)
}
