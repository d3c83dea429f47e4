//! A chunk of values as it is received, and where its bytes go.

use bytes::Bytes;
use ps_core::span::Span;
use std::ops::Range;
use tonic::Status;

/// What a chunk is beside its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Of the chunk in the whole model; of a run, the first.
    pub index: u32,
    /// How many chunks the values are of; 0 means one.
    pub chunks: u32,
    /// Of a pull, the chunk's; of a push, that which the gradient was computed from.
    pub version: u64,
    /// What the values cover; empty for the whole chunk.
    pub spans: Vec<Span>,
    /// Where the values are.
    pub values: ChunkBytes,
    /// Where their positions are; empty where the values are dense.
    pub positions: ChunkBytes,
}

impl Chunk {
    /// The chunks that the values are of.
    pub fn run(&self) -> Range<u32> {
        self.index..self.index.saturating_add(self.chunks.max(1))
    }

    /// Bytes of values and positions.
    pub fn bytes(&self) -> usize {
        self.values.len() + self.positions.len()
    }
}

/// Some of a chunk's bytes, where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkBytes {
    /// In the buffer that was given.
    Buffer(Range<usize>),
    /// Where they came, in one piece: the buffer was not needed.
    Frame(Bytes),
}

impl Default for ChunkBytes {
    fn default() -> Self {
        Self::Buffer(0..0)
    }
}

impl ChunkBytes {
    /// The bytes, given the buffer.
    pub fn bytes<'a>(&'a self, buffer: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Buffer(range) => buffer.get(range.clone()).unwrap_or_default(),
            Self::Frame(frame) => frame,
        }
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        match self {
            Self::Buffer(range) => range.len(),
            Self::Frame(frame) => frame.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where a chunk's values go.
pub trait ChunkBuffer {
    /// Whether values that came in one piece stay where they are.
    const LEAVES_FRAMES: bool;

    /// How many bytes of this run of chunks, whose numbers come ahead of the values, there can be memory for.
    fn bytes_max(&self, run: Range<u32>) -> usize;

    /// The buffer for this run, as soon as there is some.
    fn take(&mut self, run: Range<u32>) -> impl Future<Output = Result<&mut [u8], Status>> + Send;
}

/// Memory that is there, for any chunk.
impl ChunkBuffer for [u8] {
    const LEAVES_FRAMES: bool = false;

    fn bytes_max(&self, _: Range<u32>) -> usize {
        self.len()
    }

    async fn take(&mut self, _: Range<u32>) -> Result<&mut [u8], Status> {
        Ok(self)
    }
}
