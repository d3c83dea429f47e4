//! A message as pieces to send one after another: small fields together, large values as they lie.

use crate::v1;
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use ps_core::limits::FRAME_BYTES_MAX;
use std::mem::take;
use v1::push_pull_message::Kind;

/// Keys of the length-delimited fields that hold values, or what holds them.
const CHUNKS: u8 = 2 << 3 | 2;
const VALUES: u8 = 3 << 3 | 2;
const PULL: u8 = 2 << 3 | 2;

/// Values of fewer bytes are copied to what stands around them: each piece is a frame of its own, which
/// costs both sides a call to the system or two, more than copying that much.
const PIECE_BYTES_MIN: usize = 64 * 1024;

/// A message that can be sent without copying its values, where they are large.
pub trait Pieces {
    /// The message with its gRPC prefix. The pieces together are an encoding of the message, though
    /// not with its fields in the order of their numbers: values come last in their chunk.
    fn pieces(self) -> Vec<Bytes>;
}

impl Pieces for v1::InitMessage {
    fn pieces(mut self) -> Vec<Bytes> {
        let chunks = fields(take(&mut self.chunks));
        Body { front: self.encode_to_vec(), chunks }.pieces(None)
    }
}

impl Pieces for v1::PushMessage {
    fn pieces(mut self) -> Vec<Bytes> {
        let chunks = fields(take(&mut self.chunks));
        Body { front: self.encode_to_vec(), chunks }.pieces(None)
    }
}

impl Pieces for v1::PullMessage {
    fn pieces(self) -> Vec<Bytes> {
        Body::from(self).pieces(None)
    }
}

impl Pieces for v1::PushPullMessage {
    fn pieces(self) -> Vec<Bytes> {
        match self.kind {
            Some(Kind::Pull(message)) => Body::from(message).pieces(Some(PULL)),
            other => {
                let front = Self { kind: other }.encode_to_vec();
                Body { front, chunks: Vec::new() }.pieces(None)
            }
        }
    }
}

impl Pieces for v1::PushReply {
    fn pieces(self) -> Vec<Bytes> {
        Body { front: self.encode_to_vec(), chunks: Vec::new() }.pieces(None)
    }
}

impl Pieces for v1::PushManyReply {
    fn pieces(self) -> Vec<Bytes> {
        Body { front: self.encode_to_vec(), chunks: Vec::new() }.pieces(None)
    }
}

impl Pieces for v1::InitReply {
    fn pieces(self) -> Vec<Bytes> {
        Body { front: self.encode_to_vec(), chunks: Vec::new() }.pieces(None)
    }
}

impl Pieces for v1::PullRequest {
    fn pieces(self) -> Vec<Bytes> {
        Body { front: self.encode_to_vec(), chunks: Vec::new() }.pieces(None)
    }
}

impl From<v1::PullMessage> for Body {
    fn from(mut message: v1::PullMessage) -> Self {
        let chunks = take(&mut message.chunks).into_iter().map(|mut chunk| {
            let values = take(&mut chunk.values);
            Field::new(&chunk, values)
        });
        let chunks = chunks.collect();
        Self { front: message.encode_to_vec(), chunks }
    }
}

/// These chunks, each with its values by themselves.
fn fields(chunks: Vec<v1::ChunkPayload>) -> Vec<Field> {
    let field = |mut chunk: v1::ChunkPayload| {
        let values = take(&mut chunk.values);
        Field::new(&chunk, values)
    };
    chunks.into_iter().map(field).collect()
}

/// One chunk: its small fields with the key and length of the values, and the values.
struct Field {
    front: BytesMut,
    values: Bytes,
}

impl Field {
    fn new(rest: &impl Message, values: Bytes) -> Self {
        let mut front: BytesMut = rest.encode_to_vec().as_slice().into();
        if !values.is_empty() {
            front.put_u8(VALUES);
            put_length(values.len(), &mut front);
        }
        Self { front, values }
    }

    fn len(&self) -> usize {
        self.front.len() + self.values.len()
    }
}

/// A message's header, encoded, and its chunks.
struct Body {
    front: Vec<u8>,
    chunks: Vec<Field>,
}

impl Body {
    /// The pieces, within a field of this key if there is one.
    fn pieces(self, within: Option<u8>) -> Vec<Bytes> {
        let chunks = self.chunks.iter().map(|chunk| field_len(chunk.len()));
        let inner = self.front.len() + chunks.sum::<usize>();
        let length = within.map_or(inner, |_| field_len(inner));
        let mut small = BytesMut::with_capacity(length.min(FRAME_BYTES_MAX as usize));
        small.put_u8(0); // not compressed
        // A message is bounded far below what the prefix can say.
        small.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        if let Some(key) = within {
            small.put_u8(key);
            put_length(inner, &mut small);
        }
        small.put_slice(&self.front);
        let mut pieces = Vec::with_capacity(2 * self.chunks.len() + 1);
        for chunk in self.chunks {
            // A chunk that lies in one frame is taken from where it lies.
            if small.len() + chunk.values.len() > FRAME_BYTES_MAX as usize {
                pieces.push(small.split().freeze());
            }
            small.put_u8(CHUNKS);
            put_length(chunk.len(), &mut small);
            small.put_slice(&chunk.front);
            if chunk.values.len() < PIECE_BYTES_MIN {
                small.put_slice(&chunk.values);
            } else {
                pieces.push(small.split().freeze());
                pieces.push(chunk.values);
            }
        }
        pieces.push(small.freeze());
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }
}

/// Bytes of a length-delimited field with a key of one byte.
fn field_len(length: usize) -> usize {
    1 + prost::length_delimiter_len(length) + length
}

fn put_length(length: usize, to: &mut BytesMut) {
    let mut rest = length as u64;
    while rest >= 0x80 {
        to.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    to.put_u8(rest as u8);
}
