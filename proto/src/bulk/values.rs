//! Messages that are a header and chunks of values: pushes and pulls.

use super::fields::{LEN, VARINT, wrong_type};
use super::reader::MessageReader;
use crate::convert::Error;
use crate::v1;
use prost::Message;
use ps_core::limits::SPANS_PER_CHUNK_MAX;
use ps_core::span::Span;
use std::marker::PhantomData;
use std::ops::Range;
use tonic::Status;

/// Numbers that the protocol gives the fields which all of these messages have.
const HEADER: u32 = 1;
const CHUNKS: u32 = 2;
const INDEX: u32 = 1;
const VALUES: u32 = 3;

/// The field of `PushPullMessage` that holds the weights.
const PULL_IN_PUSH_PULL: u32 = 2;

/// A message of a header and chunks.
pub trait BulkMessage {
    /// The header's message.
    type Header: Message + Default;
    /// The chunks' message, for errors.
    const CHUNK: &'static str;
    /// The number of the chunk's field that holds a version.
    const VERSION: u32;
    /// The number of the chunk's field that holds spans, where it has them.
    const SPANS: Option<u32>;
    /// The number of the chunk's field that holds the values' positions, where it has them.
    const POSITIONS: Option<u32>;
}

impl BulkMessage for v1::PushMessage {
    type Header = v1::PushHeader;
    const CHUNK: &'static str = "ChunkPayload";
    const VERSION: u32 = 4;
    const SPANS: Option<u32> = Some(2);
    const POSITIONS: Option<u32> = Some(5);
}

impl BulkMessage for v1::PullMessage {
    type Header = v1::PullHeader;
    const CHUNK: &'static str = "ChunkValues";
    const VERSION: u32 = 2;
    const SPANS: Option<u32> = None;
    const POSITIONS: Option<u32> = None;
}

/// What comes next in a stream of messages.
#[derive(Clone, Debug, PartialEq)]
pub enum Item<H> {
    /// A header.
    Header(H),
    /// A chunk begins: [`BulkReader::chunk`] reads it.
    Chunk,
    /// A message is over.
    End,
}

/// What a chunk is beside its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Within the shard.
    pub index: u32,
    /// Of a pull, the chunk's; of a push, that which the gradient was computed from.
    pub version: u64,
    /// What the values cover; empty for the whole chunk.
    pub spans: Vec<Span>,
    /// Which part of the room the values fill.
    pub values: Range<usize>,
    /// Which part of it their positions fill; none of it where the values are dense.
    pub positions: Range<usize>,
}

impl Chunk {
    /// How much of the room is filled.
    pub fn bytes(&self) -> usize {
        self.values.len() + self.positions.len()
    }
}

/// Reads pushes or pulls, item by item.
pub struct BulkReader<M> {
    messages: MessageReader,
    /// The field that each message is in; pulled weights may be in that of another message.
    within: Option<u32>,
    in_message: bool,
    in_chunk: bool,
    kind: PhantomData<fn() -> M>,
}

impl<M: BulkMessage> BulkReader<M> {
    /// Reads these messages.
    pub fn new(messages: MessageReader) -> Self {
        Self { messages, within: None, in_message: false, in_chunk: false, kind: PhantomData }
    }

    /// The next item; `None` at the end of the call.
    ///
    /// # Errors
    /// The connection broke, or what came is not such a message.
    pub async fn next(&mut self) -> Result<Option<Item<M::Header>>, Status> {
        loop {
            if std::mem::take(&mut self.in_chunk) {
                self.messages.leave().await?;
            }
            if !self.in_message {
                self.in_message = self.messages.next_message().await?;
                if !self.in_message {
                    return Ok(None);
                }
            }
            if self.messages.at_end() && self.messages.depth() > 0 {
                self.messages.leave().await?;
            } else if self.messages.at_end() {
                self.in_message = false;
                return Ok(Some(Item::End));
            } else if let Some(item) = self.field().await? {
                return Ok(Some(item));
            }
        }
    }

    async fn field(&mut self) -> Result<Option<Item<M::Header>>, Status> {
        let key = self.messages.key().await?;
        if let Some(within) = self.within.filter(|_| self.messages.depth() == 0) {
            match key {
                (number, LEN) if number == within => self.messages.enter().await?,
                other => self.messages.skip(other).await?,
            }
            return Ok(None);
        }
        match key {
            (HEADER, LEN) => return Ok(Some(Item::Header(self.messages.header().await?))),
            (CHUNKS, LEN) => {
                self.messages.enter().await?;
                self.in_chunk = true;
                return Ok(Some(Item::Chunk));
            }
            (number @ (HEADER | CHUNKS), _) => return Err(wrong_type("message", number)),
            other => self.messages.skip(other).await?,
        }
        Ok(None)
    }

    /// The chunk that [`Self::next`] announced; its values go to the front of the room, unless its
    /// positions come first.
    ///
    /// # Errors
    /// As for [`Self::next`], or values or positions have no room.
    pub async fn chunk(&mut self, room: &mut [u8]) -> Result<Chunk, Status> {
        let mut chunk = Chunk::default();
        while !self.messages.at_end() {
            match self.messages.key().await? {
                (INDEX, VARINT) => chunk.index = self.messages.uint32().await?,
                (VALUES, LEN) if chunk.values.is_empty() => {
                    chunk.values = self.bytes_of("values", chunk.bytes(), room).await?;
                }
                (number, LEN) if Some(number) == M::POSITIONS && chunk.positions.is_empty() => {
                    chunk.positions = self.bytes_of("positions", chunk.bytes(), room).await?;
                }
                (VALUES, LEN) => return Err(twice(M::CHUNK, "values")),
                (number, LEN) if Some(number) == M::POSITIONS => {
                    return Err(twice(M::CHUNK, "positions"));
                }
                (number, VARINT) if number == M::VERSION => {
                    chunk.version = self.messages.varint().await?;
                }
                (number, LEN) if Some(number) == M::SPANS => {
                    let span = self.span(chunk.spans.len()).await?;
                    chunk.spans.push(span);
                }
                (number, _) if is_known::<M>(number) => return Err(wrong_type(M::CHUNK, number)),
                other => self.messages.skip(other).await?,
            }
        }
        Ok(chunk)
    }

    /// The bytes of a field, to the room after what is filled.
    async fn bytes_of(
        &mut self,
        field: &'static str,
        filled: usize,
        room: &mut [u8],
    ) -> Result<Range<usize>, Status> {
        let (length, most) = (self.messages.length().await?, room.len() - filled);
        let range = filled..filled + length;
        let Some(room) = room.get_mut(range.clone()) else {
            let expected = format!("at most {most} bytes");
            return Err(Error::invalid(M::CHUNK, field, length, expected).into());
        };
        self.messages.fill(room).await?;
        Ok(range)
    }

    async fn span(&mut self, position: usize) -> Result<Span, Status> {
        if position >= SPANS_PER_CHUNK_MAX {
            let expected = format!("at most {SPANS_PER_CHUNK_MAX} of them");
            return Err(Error::invalid(M::CHUNK, "spans", "more", expected).into());
        }
        let mut span = Span::new(0, 0);
        self.messages.enter().await?;
        while !self.messages.at_end() {
            match self.messages.key().await? {
                (1, VARINT) => span.start = self.messages.uint32().await?,
                (2, VARINT) => span.len = self.messages.uint32().await?,
                (number @ (1 | 2), _) => return Err(wrong_type("Span", number)),
                other => self.messages.skip(other).await?,
            }
        }
        self.messages.leave().await?;
        Ok(span)
    }
}

impl BulkReader<v1::PullMessage> {
    /// Reads the weights that follow the acknowledgement of a `PushPull`.
    pub fn of_push_pull(messages: MessageReader) -> Self {
        Self { within: Some(PULL_IN_PUSH_PULL), ..Self::new(messages) }
    }
}

/// What no protobuf library writes, and there is no room for.
fn twice(message: &'static str, field: &'static str) -> Status {
    Error::invalid(message, field, "it twice", "it once").into()
}

fn is_known<M: BulkMessage>(number: u32) -> bool {
    matches!(number, INDEX | VALUES)
        || number == M::VERSION
        || [M::SPANS, M::POSITIONS].contains(&Some(number))
}
