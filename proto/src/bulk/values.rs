//! Messages that are a header and chunks of values: pushes and pulls.

use super::fields::{LEN, VARINT, wrong_type};
use super::reader::MessageReader;
use crate::convert::Error;
use crate::v1;
use bytes::Bytes;
use prost::Message;
use ps_core::limits::SPANS_PER_CHUNK_MAX;
use ps_core::span::Span;
use std::marker::PhantomData;
use tonic::Status;

/// Numbers that the protocol gives the fields which all of these messages have.
const HEADER: u32 = 1;
const CHUNKS: u32 = 2;
const INDEX: u32 = 1;
const VALUES: u32 = 3;

/// The field of `PushPullMessage` that says what became of the push.
const PUSH_IN_PUSH_PULL: u32 = 1;

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
}

impl BulkMessage for v1::PushMessage {
    type Header = v1::PushHeader;
    const CHUNK: &'static str = "ChunkPayload";
    const VERSION: u32 = 4;
    const SPANS: Option<u32> = Some(2);
}

impl BulkMessage for v1::PullMessage {
    type Header = v1::PullHeader;
    const CHUNK: &'static str = "ChunkValues";
    const VERSION: u32 = 2;
    const SPANS: Option<u32> = None;
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
    /// Between weights, of a `PushPull`: what became of its push.
    Acknowledged(v1::PushReply),
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
    /// How many bytes the values have.
    pub bytes: usize,
    /// The values where they came, when that is in one piece and the room was not needed.
    pub frame: Option<Bytes>,
}

/// Where a chunk's values go.
pub trait Room {
    /// Whether values that came in one piece stay where they are.
    const LEAVES_FRAMES: bool;

    /// How many bytes of this chunk, whose number comes ahead of its values, there can be room for.
    fn bytes_max(&self, index: u32) -> usize;

    /// The room for this chunk, as soon as there is some.
    fn take(&mut self, index: u32) -> impl Future<Output = Result<&mut [u8], Status>> + Send;
}

/// Room that is there, for any chunk.
impl Room for [u8] {
    const LEAVES_FRAMES: bool = false;

    fn bytes_max(&self, _: u32) -> usize {
        self.len()
    }

    async fn take(&mut self, _: u32) -> Result<&mut [u8], Status> {
        Ok(self)
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

    /// Whether some of the next item is there, or the call has ended.
    pub fn is_ready(&mut self) -> bool {
        self.messages.is_ready()
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
                (PUSH_IN_PUSH_PULL, LEN) => {
                    return Ok(Some(Item::Acknowledged(self.messages.field_message().await?)));
                }
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

    /// The chunk that [`Self::next`] announced; its values go to the front of the room, or are where
    /// the chunk says.
    ///
    /// # Errors
    /// As for [`Self::next`], or the values are not whole elements or have no room.
    pub async fn chunk<R: Room + ?Sized>(&mut self, room: &mut R) -> Result<Chunk, Status> {
        let mut chunk = Chunk::default();
        while !self.messages.at_end() {
            match self.messages.key().await? {
                (INDEX, VARINT) => chunk.index = self.messages.uint32().await?,
                (VALUES, LEN) => {
                    (chunk.bytes, chunk.frame) = self.values(chunk.index, room).await?
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

    async fn values<R: Room + ?Sized>(
        &mut self,
        index: u32,
        room: &mut R,
    ) -> Result<(usize, Option<Bytes>), Status> {
        let (length, most) = (self.messages.length().await?, room.bytes_max(index));
        if length > most || !length.is_multiple_of(size_of::<f32>()) {
            let expected = format!("a multiple of 4, at most {most}");
            return Err(Error::invalid(M::CHUNK, "values", length, expected).into());
        }
        if R::LEAVES_FRAMES && length > 0 {
            let frame = self.messages.whole(length).await?;
            if frame.is_some() {
                return Ok((length, frame));
            }
        }
        self.messages.fill(&mut room.take(index).await?[..length]).await?;
        Ok((length, None))
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

fn is_known<M: BulkMessage>(number: u32) -> bool {
    matches!(number, INDEX | VALUES) || number == M::VERSION || Some(number) == M::SPANS
}
