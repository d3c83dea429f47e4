//! The start weights that a worker sends.

use super::data::check_worker;
use super::{Error, check_counts, check_protocol};
use crate::v1;
use bytes::Bytes;
use ps_core::ids::{Epoch, Incarnation, WorkerId};
use ps_core::limits::CHUNK_ELEMENTS_MAX;
use ps_core::model_spec::ModelSpec;

/// What a start is beside its weights, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct InitHeader {
    /// The epoch that the worker is in.
    pub epoch: Epoch,
    /// Who starts.
    pub worker: WorkerId,
    /// In which of its lives.
    pub incarnation: Incarnation,
    /// What everybody has to agree on.
    pub model: ModelSpec,
    /// CRC-32 of this shard's start weights.
    pub start_digest: u32,
    /// Whether the worker goes on from any other start as well.
    pub any_start: bool,
}

/// The header that the first message of a start must have, and nothing else: who waits for its turn makes
/// the server hold no weights.
///
/// # Errors
/// There is none, or more than it.
pub fn take_header(first: Option<&mut v1::InitMessage>) -> Result<v1::InitHeader, Error> {
    const NAME: &str = "InitMessage";
    let missing = Error::Missing { message: NAME, field: "header" };
    let first = first.ok_or(missing.clone())?;
    if !first.chunks.is_empty() {
        let expected = "none in the first message: the server says when it wants them";
        return Err(Error::invalid(NAME, "chunks", first.chunks.len(), expected));
    }
    first.header.take().ok_or(missing)
}

impl TryFrom<v1::InitHeader> for InitHeader {
    type Error = Error;

    fn try_from(header: v1::InitHeader) -> Result<Self, Error> {
        const NAME: &str = "InitHeader";
        let v1::InitHeader { epoch, worker, incarnation, start_digest, any_start, .. } = header;
        check_protocol(NAME, header.protocol)?;
        check_worker(NAME, worker)?;
        check_counts(NAME, [("epoch", epoch), ("incarnation", incarnation)])?;
        let model = header.model.ok_or(Error::Missing { message: NAME, field: "model" })?;
        let model = ModelSpec::try_from(model)?;
        Ok(Self { epoch, worker, incarnation, model, start_digest, any_start })
    }
}

/// One chunk of the start weights, whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InitChunk {
    /// Of the chunk in the whole model.
    pub index: u32,
    /// Little-endian `f32`.
    pub values: Bytes,
}

impl TryFrom<v1::ChunkPayload> for InitChunk {
    type Error = Error;

    fn try_from(payload: v1::ChunkPayload) -> Result<Self, Error> {
        const NAME: &str = "ChunkPayload";
        let (bytes, most) = (payload.values.len(), CHUNK_ELEMENTS_MAX * size_of::<f32>());
        if !bytes.is_multiple_of(size_of::<f32>()) || bytes > most {
            let expected = format!("a multiple of 4, at most {most}");
            return Err(Error::invalid(NAME, "values", bytes, expected));
        }
        let counts = [("spans", payload.spans.len()), ("positions", payload.positions.len())];
        if let Some((field, found)) = counts.into_iter().find(|(_, count)| *count > 0) {
            return Err(Error::invalid(NAME, field, found, "none: a start has whole chunks"));
        }
        if payload.chunks > 1 {
            let expected = "1: a start has each by itself";
            return Err(Error::invalid(NAME, "chunks", payload.chunks, expected));
        }
        Ok(Self { index: payload.index, values: payload.values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_bounded_and_whole() {
        let payload =
            |bytes: usize| v1::ChunkPayload { values: vec![0; bytes].into(), ..Default::default() };
        assert!(InitChunk::try_from(payload(8)).is_ok());
        assert!(InitChunk::try_from(payload(7)).is_err());
        assert!(InitChunk::try_from(payload(CHUNK_ELEMENTS_MAX * 4 + 4)).is_err());
        let spans = v1::ChunkPayload { spans: vec![v1::Span::default()], ..payload(8) };
        assert!(InitChunk::try_from(spans).unwrap_err().to_string().contains("`spans`"));
        let positions = v1::ChunkPayload { positions: vec![0; 2].into(), ..payload(8) };
        let run = v1::ChunkPayload { chunks: 2, ..payload(8) };
        assert!(InitChunk::try_from(run).unwrap_err().to_string().contains("`chunks`"));
        assert!(InitChunk::try_from(positions).unwrap_err().to_string().contains("`positions`"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut first = v1::InitMessage::default();
        for message in [None, Some(&mut first)] {
            assert!(take_header(message).unwrap_err().to_string().contains("`header`"));
        }
        let chunks = vec![v1::ChunkPayload::default()];
        let mut early = v1::InitMessage { header: Some(v1::InitHeader::default()), chunks };
        assert!(take_header(Some(&mut early)).unwrap_err().to_string().contains("`chunks`"));
        let header = v1::InitHeader { protocol: crate::PROTOCOL, ..Default::default() };
        let error = InitHeader::try_from(header).unwrap_err().to_string();
        assert!(error.contains("`model`"), "{error}");
    }
}
