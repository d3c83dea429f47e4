//! The start weights that a worker sends.

use super::data::check_worker;
use super::{Error, check_counts, check_protocol};
use crate::bulk::Chunk;
use crate::v1;
use bytes::Bytes;
use prost::Message;
use ps_core::ids::{Epoch, Incarnation, WorkerId};
use ps_core::limits::TENSORS_MAX;
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

/// A header of which only the tensors are counted: each takes no memory.
#[derive(prost::Message)]
struct HeaderTensors {
    #[prost(message, optional, tag = "4")]
    model: Option<ModelTensors>,
}

#[derive(prost::Message)]
struct ModelTensors {
    #[prost(message, repeated, tag = "1")]
    tensors: Vec<()>,
}

/// Checks how many tensors an encoded header has, ahead of decoding it: an empty one is two bytes on the wire
/// and many in memory.
///
/// # Errors
/// They are too many, or it is no such header.
pub fn check_tensors(header: Bytes) -> Result<(), Error> {
    const NAME: &str = "InitHeader";
    let counted = HeaderTensors::decode(header)
        .map_err(|error| Error::invalid(NAME, "bytes", error, "an encoded InitHeader"))?;
    let tensors = counted.model.map_or(0, |model| model.tensors.len());
    Error::check(NAME, "tensors of the model", tensors, 0..=TENSORS_MAX)
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

/// Checks what of a start came for a chunk: little-endian `f32` of all of it.
///
/// # Errors
/// It is of several chunks, or not of all of one.
pub fn check_chunk(chunk: &Chunk) -> Result<(), Error> {
    const NAME: &str = "ChunkPayload";
    if chunk.chunks > 1 {
        let expected = "1: a start has each by itself";
        return Err(Error::invalid(NAME, "chunks", chunk.chunks, expected));
    }
    let counts = [("spans", chunk.spans.len()), ("positions", chunk.positions.len())];
    if let Some((field, found)) = counts.into_iter().find(|(_, count)| *count > 0) {
        return Err(Error::invalid(NAME, field, found, "none: a start has whole chunks"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::ChunkBytes;
    use ps_core::span::Span;

    #[test]
    fn a_chunk_is_whole() {
        let chunk = Chunk { values: ChunkBytes::Buffer(0..8), ..Chunk::default() };
        assert!(check_chunk(&chunk).is_ok());
        let refused = |chunk: Chunk| check_chunk(&chunk).unwrap_err().to_string();
        let spans = Chunk { spans: vec![Span::new(0, 1)], ..chunk.clone() };
        assert!(refused(spans).contains("`spans`"));
        let positions = Chunk { positions: ChunkBytes::Buffer(8..10), ..chunk.clone() };
        assert!(refused(positions).contains("`positions`"));
        assert!(refused(Chunk { chunks: 2, ..chunk }).contains("`chunks`"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let header = v1::InitHeader { protocol: crate::PROTOCOL, ..Default::default() };
        let error = InitHeader::try_from(header).unwrap_err().to_string();
        assert!(error.contains("`model`"), "{error}");
    }

    #[test]
    fn tensors_are_counted_before_they_are_decoded() {
        let header = |tensors: usize| {
            let tensors = vec![v1::Tensor::default(); tensors];
            let model = Some(v1::ModelSpec { tensors, ..Default::default() });
            Bytes::from(v1::InitHeader { model, ..Default::default() }.encode_to_vec())
        };
        assert!(check_tensors(header(TENSORS_MAX)).is_ok());
        let error = check_tensors(header(TENSORS_MAX + 1)).unwrap_err().to_string();
        assert!(error.contains("tensors"), "{error}");
        // Twice the same field is one message with the tensors of both.
        let both = [header(TENSORS_MAX), header(1)].concat();
        assert!(check_tensors(both.into()).is_err());
    }
}
