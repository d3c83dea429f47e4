//! A shard as it is at one moment, and the file that holds it.

use super::{File, FileError, names};
use crate::chunk::ChunkSnapshot;
use crate::ids::{Epoch, Incarnation, ShardId, WorkerId};
use crate::limits::SAFETENSORS_HEADER_BYTES_MAX;
use crate::unexpected::Unexpected;
use crate::window;
use safetensors::tensor::{Dtype, View, serialize};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// The format that is written, and the only one that is read.
pub const FORMAT: u32 = 2;

/// The one key of the file's metadata: several would be written in hash order.
pub(super) const METADATA_KEY: &str = "psrun";

/// The names of the file's tensors; `slot.I` are the optimizer's.
pub(super) const WEIGHTS: &str = "weights";
pub(super) const CHUNK_ENDS: &str = "chunk_ends";
pub(super) const VERSIONS: &str = "versions";
pub(super) const UPDATES: &str = "updates";

pub(super) fn slot_name(index: usize) -> String {
    format!("slot.{index}")
}

/// What the shard remembers of each worker's newest incarnation.
pub type Sessions = BTreeMap<WorkerId, (Incarnation, window::WindowSnapshot)>;

/// All that a shard is, copied at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardSnapshot {
    /// Which shard.
    pub shard: ShardId,
    /// How many the model is cut over.
    pub shards: u32,
    /// First element of the whole model that it holds; the chunks follow one after another.
    pub start: usize,
    /// State vectors of the optimizer; a shard without chunks has them too.
    pub slots: usize,
    /// The epoch it was in.
    pub epoch: Epoch,
    /// Its chunks.
    pub chunks: Vec<ChunkSnapshot>,
    /// Its dedup windows.
    pub sessions: Sessions,
}

/// What the file says beside its tensors.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metadata {
    pub(super) format: u32,
    pub(super) shard: ShardId,
    pub(super) shards: u32,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) slots: usize,
    pub(super) epoch: Epoch,
    pub(super) sessions: BTreeMap<WorkerId, Session>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    pub(super) incarnation: Incarnation,
    pub(super) window: window::WindowSnapshot,
}

impl ShardSnapshot {
    /// Elements of the whole model that it holds.
    pub fn elements(&self) -> Range<usize> {
        let len: usize = self.chunks.iter().map(|chunk| chunk.weights.len()).sum();
        self.start..self.start + len
    }

    /// The file's bytes: the same for the same snapshot.
    ///
    /// # Errors
    /// The dedup windows are more than a safetensors header holds.
    pub fn encode(&self, number: u64) -> Result<Vec<u8>, FileError> {
        self.to_safetensors().map_err(FileError::of(&names::shard_file(
            number,
            self.shard,
            self.shards,
        )))
    }

    fn to_safetensors(&self) -> Result<Vec<u8>, Unexpected> {
        let metadata = serde_json::to_string(&self.metadata())
            .map_err(|error| Unexpected::new("metadata", error, "what JSON can hold"))?;
        let bytes = metadata.len();
        let fits = bytes <= SAFETENSORS_HEADER_BYTES_MAX / 2;
        let (found, expected) = (format!("{bytes} bytes"), "fewer pushes that are on their way");
        Unexpected::unless(fits, "dedup windows", found, expected)?;
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), metadata)]);
        serialize(self.tensors(), Some(metadata))
            .map_err(|error| Unexpected::new("tensors", error, "what safetensors can hold"))
    }

    /// What the manifest lists of an encoded snapshot.
    pub fn file(&self, number: u64, bytes: &[u8]) -> File {
        let elements = self.elements();
        File {
            name: names::shard_file(number, self.shard, self.shards),
            shard: self.shard,
            bytes: bytes.len() as u64,
            crc: crc32fast::hash(bytes),
            elements: elements.start as u64..elements.end as u64,
        }
    }

    fn metadata(&self) -> Metadata {
        let elements = self.elements();
        let session =
            |(&worker, (incarnation, window)): (&WorkerId, &(u64, window::WindowSnapshot))| {
                (worker, Session { incarnation: *incarnation, window: window.clone() })
            };
        Metadata {
            format: FORMAT,
            shard: self.shard,
            shards: self.shards,
            start: elements.start as u64,
            end: elements.end as u64,
            slots: self.slots,
            epoch: self.epoch,
            sessions: self.sessions.iter().map(session).collect(),
        }
    }

    fn tensors(&self) -> Vec<(String, Tensor<'_>)> {
        let mut end = self.start as u64;
        let ends = self.chunks.iter().map(|chunk| {
            end += chunk.weights.len() as u64;
            end
        });
        let count = |count: fn(&ChunkSnapshot) -> u64| self.chunks.iter().map(count).collect();
        let mut tensors = vec![
            (CHUNK_ENDS.to_owned(), Tensor::counts(ends.collect())),
            (VERSIONS.to_owned(), Tensor::counts(count(|chunk| chunk.version))),
            (UPDATES.to_owned(), Tensor::counts(count(|chunk| chunk.updates))),
        ];
        let weights = self.chunks.iter().map(|chunk| chunk.weights.as_slice()).collect();
        tensors.push((WEIGHTS.to_owned(), Tensor::values(weights)));
        for slot in 0..self.slots {
            let values = self.chunks.iter().map(|chunk| chunk.slots[slot].as_slice()).collect();
            tensors.push((slot_name(slot), Tensor::values(values)));
        }
        tensors
    }
}

/// A vector of the file, laid end to end only when it is its turn to be written.
struct Tensor<'a> {
    values: Values<'a>,
    shape: [usize; 1],
}

enum Values<'a> {
    Counts(Vec<u64>),
    Floats(Vec<&'a [f32]>),
}

impl<'a> Tensor<'a> {
    fn counts(counts: Vec<u64>) -> Self {
        Self { shape: [counts.len()], values: Values::Counts(counts) }
    }

    fn values(parts: Vec<&'a [f32]>) -> Self {
        let len = parts.iter().map(|part| part.len()).sum();
        Self { shape: [len], values: Values::Floats(parts) }
    }
}

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        match self.values {
            Values::Counts(_) => Dtype::U64,
            Values::Floats(_) => Dtype::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    // The machine is little-endian, as the file is: `chunk` checks it when it is compiled.
    fn data(&self) -> Cow<'_, [u8]> {
        match &self.values {
            Values::Counts(counts) => Cow::Borrowed(bytemuck::cast_slice(counts)),
            Values::Floats(parts) => {
                let mut bytes = Vec::with_capacity(self.data_len());
                parts.iter().for_each(|part| bytes.extend_from_slice(bytemuck::cast_slice(part)));
                Cow::Owned(bytes)
            }
        }
    }

    fn data_len(&self) -> usize {
        match self.values {
            Values::Counts(_) => self.shape[0] * size_of::<u64>(),
            Values::Floats(_) => self.shape[0] * size_of::<f32>(),
        }
    }
}
