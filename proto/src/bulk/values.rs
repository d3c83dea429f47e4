//! Messages that are a header and chunks of values: pushes and pulls.

use super::chunk::{Chunk, ChunkBuffer, ChunkBytes};
use super::fields::{LEN, VARINT, wrong_type};
use super::reader::MessageReader;
use crate::convert::Error;
use crate::convert::init::check_tensors;
use crate::v1;
use bytes::Bytes;
use prost::Message;
use ps_core::limits::{BULK_HEADER_BYTES_MAX, CONTROL_MESSAGE_BYTES_MAX, SPANS_PER_CHUNK_MAX};
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
    /// The most bytes of a header.
    const HEADER_BYTES_MAX: usize = BULK_HEADER_BYTES_MAX;
    /// Its own name, for errors.
    const NAME: &'static str;
    /// The chunks' message, for errors.
    const CHUNK: &'static str;
    /// The number of the chunk's field that holds a version.
    const VERSION: u32;
    /// The number of the chunk's field that says how many chunks it is of.
    const CHUNKS_OF_RUN: u32;
    /// The number of the chunk's field that holds spans, where it has them.
    const SPANS: Option<u32>;
    /// The number of the chunk's field that holds the values' positions, where it has them.
    const POSITIONS: Option<u32>;

    /// Checks a header's bytes ahead of decoding them, which may take more memory than they are.
    ///
    /// # Errors
    /// It would take too much.
    fn check_header(_: &Bytes) -> Result<(), Status> {
        Ok(())
    }
}

impl BulkMessage for v1::InitMessage {
    type Header = v1::InitHeader;
    const HEADER_BYTES_MAX: usize = CONTROL_MESSAGE_BYTES_MAX;
    const NAME: &'static str = "InitMessage";
    const CHUNK: &'static str = "ChunkPayload";
    const VERSION: u32 = 4;
    const CHUNKS_OF_RUN: u32 = 6;
    const SPANS: Option<u32> = Some(2);
    const POSITIONS: Option<u32> = Some(5);

    fn check_header(bytes: &Bytes) -> Result<(), Status> {
        check_tensors(bytes.clone()).map_err(Status::from)
    }
}

impl BulkMessage for v1::PushMessage {
    type Header = v1::PushHeader;
    const NAME: &'static str = "PushMessage";
    const CHUNK: &'static str = "ChunkPayload";
    const VERSION: u32 = 4;
    const CHUNKS_OF_RUN: u32 = 6;
    const SPANS: Option<u32> = Some(2);
    const POSITIONS: Option<u32> = Some(5);
}

impl BulkMessage for v1::PullMessage {
    type Header = v1::PullHeader;
    const NAME: &'static str = "PullMessage";
    const CHUNK: &'static str = "ChunkValues";
    const VERSION: u32 = 2;
    const CHUNKS_OF_RUN: u32 = 4;
    const SPANS: Option<u32> = None;
    const POSITIONS: Option<u32> = None;
}

/// Spans that a chunk may have before there is a buffer for it.
const SPANS_UNBUFFERED_MAX: usize = 64;

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

    /// The header that a call begins with.
    ///
    /// # Errors
    /// As for [`Self::next`], or something else came.
    pub async fn header(&mut self) -> Result<M::Header, Status> {
        match self.next().await? {
            Some(Item::Header(header)) => Ok(header),
            _ => Err(missing_header::<M>()),
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
            (HEADER, LEN) => {
                return Ok(Some(Item::Header(
                    self.messages.header(M::HEADER_BYTES_MAX, M::check_header).await?,
                )));
            }
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

    /// The chunk that [`Self::next`] announced; its values go to the front of the buffer, or are where
    /// the chunk says.
    ///
    /// # Errors
    /// As for [`Self::next`], or values or positions have no room in the buffer.
    pub async fn chunk<R: ChunkBuffer + ?Sized>(
        &mut self,
        buffer: &mut R,
    ) -> Result<Chunk, Status> {
        let mut chunk = Chunk::default();
        while !self.messages.at_end() {
            match self.messages.key().await? {
                (INDEX, VARINT) => chunk.index = self.messages.uint32().await?,
                (VALUES, LEN) if chunk.values.is_empty() => {
                    chunk.values = self.bytes_of("values", &chunk, buffer).await?;
                }
                (number, LEN) if Some(number) == M::POSITIONS && chunk.positions.is_empty() => {
                    chunk.positions = self.bytes_of("positions", &chunk, buffer).await?;
                }
                (VALUES, LEN) => return Err(twice(M::CHUNK, "values")),
                (number, LEN) if Some(number) == M::POSITIONS => {
                    return Err(twice(M::CHUNK, "positions"));
                }
                (number, VARINT) if number == M::VERSION => {
                    chunk.version = self.messages.varint().await?;
                }
                (number, VARINT) if number == M::CHUNKS_OF_RUN => {
                    chunk.chunks = self.messages.uint32().await?;
                }
                (number, LEN) if Some(number) == M::SPANS => {
                    if chunk.spans.len() == SPANS_UNBUFFERED_MAX {
                        // As many chunks at once have more of them as there are buffers.
                        buffer.take(chunk.run()).await?;
                    }
                    let span = self.span(chunk.spans.len()).await?;
                    chunk.spans.push(span);
                }
                (number, _) if is_known::<M>(number) => return Err(wrong_type(M::CHUNK, number)),
                other => self.messages.skip(other).await?,
            }
        }
        Ok(chunk)
    }

    /// The bytes of a field: where they came, or in the buffer after what is filled.
    async fn bytes_of<R: ChunkBuffer + ?Sized>(
        &mut self,
        field: &'static str,
        chunk: &Chunk,
        buffer: &mut R,
    ) -> Result<ChunkBytes, Status> {
        let (length, filled) = (self.messages.length().await?, chunk.bytes());
        let most = buffer.bytes_max(chunk.run()).saturating_sub(filled);
        if length > most {
            let expected = format!("at most {most} bytes");
            return Err(Error::invalid(M::CHUNK, field, length, expected).into());
        }
        if length == 0 {
            return Ok(ChunkBytes::default());
        }
        if R::LEAVES_FRAMES
            && let Some(frame) = self.messages.whole(length).await?
        {
            return Ok(ChunkBytes::Frame(frame));
        }
        let range = filled..filled + length;
        self.messages.fill(&mut buffer.take(chunk.run()).await?[range.clone()]).await?;
        Ok(ChunkBytes::Buffer(range))
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

/// A call of chunks that nobody announced.
pub fn missing_header<M: BulkMessage>() -> Status {
    Error::Missing { message: M::NAME, field: "header" }.into()
}

/// What no protobuf library writes, and there is no room for.
fn twice(message: &'static str, field: &'static str) -> Status {
    Error::invalid(message, field, "it twice", "it once").into()
}

fn is_known<M: BulkMessage>(number: u32) -> bool {
    matches!(number, INDEX | VALUES)
        || [M::VERSION, M::CHUNKS_OF_RUN].contains(&number)
        || [M::SPANS, M::POSITIONS].contains(&Some(number))
}
