//! A shard's file as it is written: the values of all chunks, each at its place, then the rest.

use super::header::Metadata;
use super::places::{HEADER_BYTES, Places};
use super::tail::{Remembered, Tail};
use super::{File, FileError, names};
use crate::chunk::ChunkSnapshot;
use crate::chunk_set::ChunkSet;
use crate::ids::{ChunkId, Epoch, ShardId};
use crate::model_spec::ModelSpec;
use crate::unexpected::Unexpected;

/// A shard's file of which some chunks are written.
#[derive(Clone, Debug)]
pub struct WrittenShard {
    name: String,
    epoch: Epoch,
    places: Places,
    tail: Tail,
    /// Chunks that are written, by their places in the shard.
    written: ChunkSet,
}

/// What is written last, and what the manifest lists.
#[derive(Clone, Debug, PartialEq)]
pub struct Ends {
    /// At the beginning of the file.
    pub header: Vec<u8>,
    /// After the values.
    pub tail: Vec<u8>,
    /// Where that is.
    pub tail_place: u64,
    /// The file, once both are written.
    pub file: File,
}

impl WrittenShard {
    /// The file of this shard in a checkpoint.
    pub fn new(spec: &ModelSpec, shard: ShardId, number: u64, epoch: Epoch) -> Self {
        let name = names::shard_file(number, shard, spec.shards);
        let places = Places::new(spec, shard, spec.shards);
        let tail = Tail::of(places.chunks().len());
        Self { name, epoch, places, tail, written: ChunkSet::default() }
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where which bytes of a chunk of the shard are to be written. Chunks come in any order.
    pub fn chunk<'c>(
        &mut self,
        id: ChunkId,
        chunk: &'c ChunkSnapshot,
    ) -> impl Iterator<Item = (u64, &'c [u8])> + use<'_, 'c> {
        let index = id.saturating_sub(self.places.chunks().start) as usize;
        if self.places.chunks().contains(&id) {
            self.tail.set(index, chunk);
            self.written.add(index);
        }
        // The machine is little-endian, as the file is: `chunk` checks it when it is compiled.
        let vectors = chunk.vectors().map(bytemuck::cast_slice).enumerate();
        vectors.map(move |(vector, values)| (self.places.values(id, vector), values))
    }

    /// What is written after the last chunk.
    ///
    /// # Errors
    /// Chunks are missing, or the dedup windows are more than a file holds.
    pub fn finish(self, remembered: &Remembered) -> Result<Ends, FileError> {
        self.ends(remembered).map_err(FileError::of(&self.name))
    }

    fn ends(&self, remembered: &Remembered) -> Result<Ends, Unexpected> {
        let (found, chunks) = (self.written.count() as usize, self.places.chunks());
        Unexpected::unless(found == chunks.len(), "chunks", found, chunks.len())?;
        let tail = self.tail.encode(remembered)?;
        let metadata = Metadata::new(&self.places, self.epoch, &tail);
        let header = metadata.encode()?;
        debug_assert_eq!(header.len(), HEADER_BYTES, "the values follow it");
        let tail_place = self.places.tail();
        let file = File {
            name: self.name.clone(),
            shard: self.places.shard,
            bytes: tail_place + tail.len() as u64,
            crc: crc32fast::hash(&header),
            chunks,
        };
        Ok(Ends { header, tail, tail_place, file })
    }
}
