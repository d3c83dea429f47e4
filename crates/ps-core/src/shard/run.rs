//! A run of chunks as a push sends it: which of the shard's chunks it is of, and its values.

use super::scratch::DecodeBuffer;
use super::{EncodedRun, Error, Push};
use crate::TensorKind;
use crate::ids::ChunkId;
use crate::limits::CHUNK_ELEMENTS_MAX;
use crate::span;
use ps_kernels::encoding::{self, EncodedValues};
use std::ops::Range;

impl Push<'_> {
    /// The places of a run's chunks in the shard, which holds them all, as tensors of the push's kind.
    pub(super) fn held(&self, sent: &EncodedRun<'_>) -> Result<Range<usize>, Error> {
        let (id, chunks) = (sent.first, sent.chunks.max(1));
        let first = self.model.index(id).ok_or_else(|| self.no_such_chunk(id))?;
        let last = id.checked_add(chunks - 1).and_then(|last| self.model.index(last));
        let last = last.ok_or_else(|| self.no_such_chunk(id.saturating_add(chunks - 1)))?;
        let held = first..last + 1;
        held.clone().try_for_each(|index| self.check_kind(index))?;
        let elements: usize = held.clone().map(|index| self.model.elements(index)).sum();
        let is_run = chunks == 1 || (sent.spans.is_empty() && elements <= CHUNK_ELEMENTS_MAX);
        if is_run { Ok(held) } else { Err(Error::Run { id, chunks, elements }) }
    }

    /// The values as dense `f32`: as they came, or decoded.
    pub(super) fn dense<'v>(
        &self,
        sent: &EncodedRun<'v>,
        held: &Range<usize>,
        decoded: &'v mut DecodeBuffer,
    ) -> Result<&'v [u8], Error> {
        let EncodedRun { first: id, values, positions, .. } = *sent;
        let received = EncodedValues { encoding: self.header.encoding, values, positions };
        if received.is_plain() && held.len() == 1 {
            return Ok(values);
        }
        let elements = held.clone().map(|index| self.model.elements(index)).sum();
        if self.header.kind == TensorKind::State && !positions.is_empty() {
            return Err(Error::Encoded { id, error: encoding::Error::State });
        }
        let covered = match sent.spans {
            [] => elements,
            spans => span::check(spans, elements)
                .map_err(|error| Error::Malformed { id, error: error.into() })?,
        };
        let failed = |error| Error::Encoded { id, error };
        if received.is_plain() {
            return received.check_values(covered).map(|()| values).map_err(failed);
        }
        let dense = decoded.values(covered);
        received.decode(dense).map_err(failed)?;
        Ok(bytemuck::cast_slice(dense))
    }

    fn no_such_chunk(&self, id: ChunkId) -> Error {
        let (first, chunks) = (self.model.id(0), self.model.chunks().len());
        Error::NoSuchChunk { id, shard: self.shard.index(), first, chunks }
    }

    fn check_kind(&self, index: usize) -> Result<(), Error> {
        let (held, found) = (self.model.kind(index), self.header.kind);
        let id = self.model.id(index);
        if held == found { Ok(()) } else { Err(Error::Kind { id, held, found }) }
    }
}

#[cfg(test)]
mod tests;
