//! The chunks of a push to one shard, some of which may still be computed.

use crate::gradient::Gradient;
use crate::plan::PlannedRun;
use futures_util::Stream;
use futures_util::stream::unfold;
use ps_core::limits::MESSAGE_PAYLOAD_BYTES;
use ps_kernels::encoding::Encoding;
use ps_proto::convert::data::{ChunkPayload, ELEMENT_BYTES};
use ps_proto::v1;
use std::ops::Range;
use std::sync::Arc;

/// The chunks of a push, the same on every attempt.
#[derive(Clone)]
pub(crate) enum PushChunks {
    /// Encoded already, because what an encoding leaves out is kept.
    Encoded(Vec<ChunkPayload>),
    /// As they lie in the gradient, to be encoded while they are sent.
    Unencoded(Gradient, Arc<[PlannedRun]>, Encoding),
}

impl PushChunks {
    /// How many they are.
    pub(crate) fn count(&self) -> u32 {
        match self {
            Self::Encoded(payloads) => payloads.iter().map(|run| run.chunks).sum(),
            Self::Unencoded(_, planned, _) => planned.iter().map(|run| run.chunks).sum(),
        }
    }

    /// These without the runs all of whose chunks are among those.
    pub(crate) fn without(&self, applied: &[Range<u32>]) -> Self {
        if applied.is_empty() {
            return self.clone();
        }
        let is_left = |run: Range<u32>| {
            !applied.iter().any(|applied| applied.start <= run.start && run.end <= applied.end)
        };
        match self {
            Self::Encoded(payloads) => {
                let left = payloads.iter().filter(|payload| is_left(payload.run()));
                Self::Encoded(left.cloned().collect())
            }
            Self::Unencoded(gradient, planned, encoding) => {
                let left = planned.iter().filter(|planned| is_left(planned.run()));
                Self::Unencoded(gradient.clone(), left.cloned().collect(), *encoding)
            }
        }
    }

    /// Bytes of their values as they are sent.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Encoded(payloads) => payloads.iter().map(ChunkPayload::bytes).sum(),
            Self::Unencoded(_, planned, encoding) => {
                planned.iter().map(|chunk| encoding.encoded_bytes(chunk.elements())).sum()
            }
        }
    }

    /// Whether all of them can be sent.
    pub(crate) fn is_complete(&self) -> bool {
        match self {
            Self::Encoded(_) => true,
            Self::Unencoded(gradient, planned, _) => {
                gradient.is_complete()
                    || planned.iter().all(|chunk| gradient.has_arrived(&chunk.range))
            }
        }
    }

    /// Waits until all of them can be sent.
    pub(crate) async fn complete(&self) {
        if let Self::Unencoded(gradient, ..) = self
            && !self.is_complete()
        {
            gradient.complete().await;
        }
    }

    /// All of them; they must be complete. Each is made when those before it are sent.
    pub(crate) fn payloads(&self) -> Box<dyn Iterator<Item = ChunkPayload> + Send> {
        match self.clone() {
            Self::Encoded(payloads) => Box::new(payloads.into_iter()),
            Self::Unencoded(gradient, planned, encoding) => {
                let runs = 0..planned.len();
                Box::new(runs.map(move |run| payload(&gradient, &planned[run], encoding)))
            }
        }
    }

    /// Groups of them for a message each, as soon as they can be sent; `None` when all can be already.
    pub(crate) fn arriving(
        &self,
    ) -> Option<impl Stream<Item = Vec<v1::ChunkPayload>> + Send + use<>> {
        let Self::Unencoded(gradient, planned, encoding) = self else { return None };
        if self.is_complete() {
            return None;
        }
        let (gradient, encoding) = (gradient.clone(), *encoding);
        let waiting = (planned.to_vec(), gradient.arrivals());
        Some(unfold(waiting, move |(mut planned, mut arrivals)| {
            let gradient = gradient.clone();
            async move {
                while !planned.is_empty() {
                    let group = next_group(&gradient, &mut planned, encoding);
                    if !group.is_empty() {
                        return Some((group, (planned, arrivals)));
                    }
                    // What arrived since the last look counts as a change.
                    arrivals.changed().await.ok()?;
                }
                None
            }
        }))
    }
}

/// Chunks that are there, as many as make a message; those that are left stay.
fn next_group(
    gradient: &Gradient,
    planned: &mut Vec<PlannedRun>,
    encoding: Encoding,
) -> Vec<v1::ChunkPayload> {
    let (mut group, mut bytes) = (Vec::new(), 0);
    planned.retain(|chunk| {
        if bytes >= MESSAGE_PAYLOAD_BYTES || !gradient.has_arrived(&chunk.range) {
            return true;
        }
        let payload = payload(gradient, chunk, encoding);
        bytes += payload.bytes();
        group.push(payload.into());
        false
    });
    group
}

fn payload(gradient: &Gradient, chunk: &PlannedRun, encoding: Encoding) -> ChunkPayload {
    let lying = gradient.covered(&chunk.range);
    let values = match encoding {
        Encoding::F32 => lying,
        _ => {
            let floats: &[f32] = bytemuck::cast_slice(&lying);
            let mut bytes = vec![0; encoding.encoded_bytes(lying.len() / ELEMENT_BYTES)];
            encoding.encode(floats, &mut bytes);
            bytes.into()
        }
    };
    ChunkPayload { values, ..chunk.payload() }
}
