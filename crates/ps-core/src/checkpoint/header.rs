//! The beginning of a shard's file: a safetensors header of one length, written last.

use super::places::{HEADER_BYTES, Places};
use super::tail::Tail;
use crate::ids::{ChunkId, Epoch, ShardId};
use crate::limits::COUNT_MAX;
use crate::unexpected::Unexpected;
use safetensors::tensor::{Dtype, Metadata as Header, TensorInfo};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The format that is written, and the only one that is read.
pub const FORMAT: u32 = 3;

/// Bytes before the header's text: its length.
const LENGTH_BYTES: usize = size_of::<u64>();

/// The one key of the header's metadata: several would be written in hash order.
const METADATA_KEY: &str = "psrun";

/// What a shard's file says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metadata {
    pub(super) format: u32,
    pub(super) shard: ShardId,
    pub(super) shards: u32,
    pub(super) first_chunk: ChunkId,
    pub(super) chunks: u32,
    pub(super) elements: usize,
    pub(super) slots: usize,
    /// The epoch that the shard was in.
    pub(super) epoch: Epoch,
    /// Bytes of the dedup windows.
    pub(super) sessions_bytes: usize,
    /// CRC-32 of all that follows the values, in which each chunk has one of its own.
    pub(super) tail_crc: u32,
}

/// What is read before anything else is believed.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

#[derive(Deserialize)]
struct AnyHeader {
    #[serde(rename = "__metadata__")]
    metadata: HashMap<String, String>,
}

impl Metadata {
    pub(super) fn new(places: &Places, epoch: Epoch, tail: &[u8]) -> Self {
        let chunks = places.chunks();
        Self {
            format: FORMAT,
            shard: places.shard,
            shards: places.partition.shards(),
            first_chunk: chunks.start,
            chunks: chunks.len() as u32,
            elements: places.elements().len(),
            slots: places.slots,
            epoch,
            sessions_bytes: tail.len() - Tail::counts_bytes(chunks.len()),
            tail_crc: crc32fast::hash(tail),
        }
    }

    /// The beginning of the file: the same for the same metadata.
    pub(super) fn encode(&self) -> Result<Vec<u8>, Unexpected> {
        let json = |error: serde_json::Error| Unexpected::new("header", error, "JSON");
        let metadata = serde_json::to_string(self).map_err(json)?;
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), metadata)]);
        let header = Header::new(Some(metadata), self.tensors())
            .map_err(|error| Unexpected::new("header", error, "what safetensors can hold"))?;
        let mut bytes = ((HEADER_BYTES - LENGTH_BYTES) as u64).to_le_bytes().to_vec();
        serde_json::to_writer(&mut bytes, &header).map_err(json)?;
        let expected = format!("at most {HEADER_BYTES} bytes");
        Unexpected::unless(bytes.len() <= HEADER_BYTES, "header", bytes.len(), expected)?;
        bytes.resize(HEADER_BYTES, b' ');
        Ok(bytes)
    }

    fn tensors(&self) -> Vec<(String, TensorInfo)> {
        let slots = (0..self.slots).map(|slot| (format!("slot.{slot}"), Dtype::F32, self.elements));
        let chunks = self.chunks as usize;
        let tail = [
            ("versions", Dtype::U64, chunks),
            ("updates", Dtype::U64, chunks),
            ("checksums", Dtype::U32, chunks),
            ("sessions", Dtype::U8, self.sessions_bytes),
        ];
        let tail = tail.map(|(name, dtype, length)| (name.to_owned(), dtype, length));
        let mut end = 0;
        let weights = ("weights".to_owned(), Dtype::F32, self.elements);
        let all = std::iter::once(weights).chain(slots).chain(tail);
        all.map(|(name, dtype, length)| {
            let start = end;
            end += length * dtype.bitsize() / 8;
            (name, TensorInfo { dtype, shape: vec![length], data_offsets: (start, end) })
        })
        .collect()
    }

    /// Reads the beginning of a file, which must be, to the byte, what is written for what it says.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES], places: &Places) -> Result<Self, Unexpected> {
        let (length, text) = bytes.split_at(LENGTH_BYTES);
        let expected = (HEADER_BYTES - LENGTH_BYTES) as u64;
        let is_ours = length == expected.to_le_bytes();
        Unexpected::unless(is_ours, "beginning", format!("{length:?}"), "that of a shard's file")?;
        let malformed =
            |error: serde_json::Error| Unexpected::new("header", error, "that of a shard's file");
        let header: AnyHeader = serde_json::from_slice(text).map_err(malformed)?;
        let Some(json) = header.metadata.get(METADATA_KEY) else {
            let expected = format!("key `{METADATA_KEY}`");
            return Err(Unexpected::new("metadata", "other keys", expected));
        };
        let Format { format } = serde_json::from_str(json).map_err(malformed)?;
        let expected = format!("{FORMAT}: use the version of the program that wrote it");
        Unexpected::unless(format == FORMAT, "format", format, expected)?;
        let metadata: Self = serde_json::from_str(json).map_err(malformed)?;
        metadata.check(places)?;
        let differs = metadata.encode()? != bytes;
        Unexpected::unless(!differs, "header", "another one", "what is written for these numbers")?;
        Ok(metadata)
    }

    fn check(&self, places: &Places) -> Result<(), Unexpected> {
        let chunks = places.chunks();
        let pairs = [
            ("shard", u64::from(self.shard), u64::from(places.shard)),
            ("shards", u64::from(self.shards), u64::from(places.partition.shards())),
            ("first chunk", u64::from(self.first_chunk), u64::from(chunks.start)),
            ("chunks", u64::from(self.chunks), chunks.len() as u64),
            ("elements", self.elements as u64, places.elements().len() as u64),
        ];
        for (what, found, expected) in pairs {
            Unexpected::unless(found == expected, what, found, expected)?;
        }
        let (found, advice) = (self.slots, format!("{}: use the same optimizer", places.slots));
        let what = "state vectors of the optimizer";
        Unexpected::unless(found == places.slots, what, found, advice)?;
        let epoch = self.epoch;
        Unexpected::unless(epoch <= COUNT_MAX, "epoch", epoch, format!("at most {COUNT_MAX}"))?;
        let sessions = self.sessions_bytes;
        let expected = format!("at most {}", Tail::SESSIONS_BYTES_MAX);
        let fits = sessions <= Tail::SESSIONS_BYTES_MAX;
        Unexpected::unless(fits, "bytes of dedup windows", sessions, expected)
    }
}
