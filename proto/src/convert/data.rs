//! The data plane's messages.

use super::{Error, check_counts, check_protocol};
use crate::v1;
use bytes::Bytes;
use ps_core::TensorKind;
use ps_core::chunk::NonFinite;
use ps_core::ids::{Epoch, PushId, Version, WorkerId};
use ps_core::limits::{COUNT_MAX, PIPELINE_DEPTH_MAX, WORKERS_MAX};
use ps_core::shard::{Counters, Puller, PushHeader};
use ps_core::span::Span;
use ps_core::window::Acknowledgement;
use ps_kernels::encoding::Encoding;
use std::ops::Range;

/// Bytes of one element on the wire.
pub const ELEMENT_BYTES: usize = size_of::<f32>();

impl From<PushId> for v1::PushId {
    fn from(id: PushId) -> Self {
        Self { worker: id.worker, incarnation: id.incarnation, seq: id.seq }
    }
}

impl TryFrom<v1::AppliedRequest> for PushId {
    type Error = Error;

    fn try_from(request: v1::AppliedRequest) -> Result<Self, Error> {
        const NAME: &str = "AppliedRequest";
        check_protocol(NAME, request.protocol)?;
        let id = request.id.ok_or(Error::Missing { message: NAME, field: "id" })?;
        check_worker(NAME, id.worker)?;
        check_counts(NAME, [("incarnation", id.incarnation), ("seq", id.seq)])?;
        Ok(Self { worker: id.worker, incarnation: id.incarnation, seq: id.seq })
    }
}

impl TryFrom<v1::PushHeader> for PushHeader {
    type Error = Error;

    fn try_from(header: v1::PushHeader) -> Result<Self, Error> {
        const NAME: &str = "PushHeader";
        check_protocol(NAME, header.protocol)?;
        let missing = |field| Error::Missing { message: NAME, field };
        let kind = kind(NAME, header.kind())?;
        let encoding = encoding(NAME, "encoding", header.encoding)?;
        let pull_encoding = encoding_or_f32(NAME, "pull_encoding", header.pull_encoding)?;
        let id = header.id.ok_or(missing("id"))?;
        check_worker(NAME, id.worker)?;
        let (incarnation, seq) = (id.incarnation, id.seq);
        let (epoch, clock) = (header.epoch, header.clock);
        check_counts(NAME, [("incarnation", incarnation), ("seq", seq), ("epoch", epoch)])?;
        // The clock after it must be a count, too: a shard writes that down.
        Error::check(NAME, "clock", clock, 0..=COUNT_MAX - 1)?;
        let rate = header.learning_rate;
        if !rate.is_finite() || rate < 0.0 {
            return Err(Error::invalid(NAME, "learning_rate", rate, "a finite rate of 0 or more"));
        }
        let oldest = header.oldest_unacknowledged_seq;
        Error::check(NAME, "oldest_unacknowledged_seq", oldest, 0..=id.seq)?;
        check_ahead(NAME, "pull_ahead", header.pull_ahead)?;
        Ok(Self {
            id: PushId { worker: id.worker, incarnation, seq },
            oldest,
            epoch,
            clock,
            ends_step: !header.more_in_step,
            learning_rate: rate,
            loss: header.loss,
            kind,
            chunks_total: header.chunks_total,
            encoding,
            pull_encoding,
            pull_ahead: header.pull_ahead,
            has_start: header.has_start,
        })
    }
}

pub(super) fn kind(message: &'static str, kind: v1::TensorKind) -> Result<TensorKind, Error> {
    match kind {
        v1::TensorKind::Trainable => Ok(TensorKind::Trainable),
        v1::TensorKind::State => Ok(TensorKind::State),
        v1::TensorKind::Unspecified => Err(Error::Missing { message, field: "kind" }),
    }
}

impl From<Encoding> for v1::Encoding {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::F32 => Self::F32,
            Encoding::Bf16 => Self::Bf16,
            Encoding::F16 => Self::F16,
            Encoding::Int8 => Self::Int8,
        }
    }
}

fn encoding(message: &'static str, field: &'static str, found: i32) -> Result<Encoding, Error> {
    let number = |encoding| i32::from(v1::Encoding::from(encoding));
    Encoding::ALL.into_iter().find(|known| number(*known) == found).ok_or_else(|| {
        let known = Encoding::ALL.map(|known| format!("{} ({known})", number(known)));
        Error::invalid(message, field, found, format!("one of {}", known.join(", ")))
    })
}

/// An encoding that may be left out.
pub(super) fn encoding_or_f32(
    message: &'static str,
    field: &'static str,
    found: i32,
) -> Result<Encoding, Error> {
    if found == i32::from(v1::Encoding::Unspecified) {
        return Ok(Encoding::F32);
    }
    encoding(message, field, found)
}

/// The part of a push, or of a start, that belongs to one chunk, to be sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChunkPayload {
    /// Of the chunk in the whole model; of a run, the first.
    pub index: u32,
    /// How many chunks the values are of; 0 means one.
    pub chunks: u32,
    /// What the values cover; empty for the whole chunk.
    pub spans: Vec<Span>,
    /// The spans' values one after the other, in the encoding that the push's header names.
    pub values: Bytes,
    /// The chunk's version when the worker pulled it.
    pub pulled_version: Version,
    /// Positions of the values among the covered elements, little-endian `u16`; empty for all.
    pub positions: Bytes,
}

impl ChunkPayload {
    /// The chunks that the values are of.
    pub fn run(&self) -> Range<u32> {
        self.index..self.index.saturating_add(self.chunks.max(1))
    }

    /// Bytes of values and positions.
    pub fn bytes(&self) -> usize {
        self.values.len() + self.positions.len()
    }
}

impl From<ChunkPayload> for v1::ChunkPayload {
    fn from(payload: ChunkPayload) -> Self {
        let spans = payload.spans.iter().map(|span| v1::Span { start: span.start, len: span.len });
        Self {
            index: payload.index,
            chunks: payload.chunks,
            spans: spans.collect(),
            values: payload.values,
            pulled_version: payload.pulled_version,
            positions: payload.positions,
        }
    }
}

impl TryFrom<v1::Puller> for Puller {
    type Error = Error;

    fn try_from(puller: v1::Puller) -> Result<Self, Error> {
        check_worker("Puller", puller.worker)?;
        check_ahead("Puller", "ahead", puller.ahead)?;
        check_counts("Puller", [("incarnation", puller.incarnation), ("clock", puller.clock)])?;
        Ok(Self {
            worker: puller.worker,
            incarnation: puller.incarnation,
            clock: puller.clock,
            finished_clock: puller.finished_clock.min(puller.clock),
            ahead: puller.ahead,
        })
    }
}

fn check_ahead(message: &'static str, field: &'static str, ahead: u32) -> Result<(), Error> {
    Error::check(message, field, u64::from(ahead), 0..=PIPELINE_DEPTH_MAX)
}

/// Checks a worker's number: what a shard remembers of workers is bounded by it.
pub(super) fn check_worker(message: &'static str, worker: WorkerId) -> Result<(), Error> {
    Error::check(message, "worker", worker, 0..=WORKERS_MAX - 1)
}

/// A pull, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// The epoch that the caller is in.
    pub epoch: Epoch,
    /// Who pulls for a training step; `None` for a reader, which no gate holds.
    pub puller: Option<Puller>,
    /// How the weights are to be written.
    pub encoding: Encoding,
    /// Whether chunks that are what they were at the start are left out: the caller has them.
    pub has_start: bool,
}

impl TryFrom<v1::PullRequest> for PullRequest {
    type Error = Error;

    fn try_from(request: v1::PullRequest) -> Result<Self, Error> {
        const NAME: &str = "PullRequest";
        check_protocol(NAME, request.protocol)?;
        check_counts(NAME, [("epoch", request.epoch)])?;
        let puller = request.puller.map(Puller::try_from).transpose()?;
        let encoding = encoding(NAME, "encoding", request.encoding)?;
        Ok(Self { epoch: request.epoch, puller, encoding, has_start: request.has_start })
    }
}

/// The reply to a push.
pub fn push_reply(acknowledgement: &Acknowledgement, duplicate: bool) -> v1::PushReply {
    let refused = acknowledgement.refused.iter().map(|&(index, refusal)| v1::RefusedChunk {
        index,
        reason: match refusal {
            NonFinite::Gradient => v1::refused_chunk::Reason::NonFiniteGradient,
            NonFinite::Result => v1::refused_chunk::Reason::NonFiniteResult,
        }
        .into(),
    });
    v1::PushReply {
        refused: refused.collect(),
        staleness_max: acknowledgement.staleness_max,
        duplicate,
    }
}

/// A shard's counts, and the bytes of weights that it holds.
pub fn shard_counters(counters: &Counters, weight_bytes: u64) -> v1::ShardCounters {
    v1::ShardCounters {
        pushes_applied: counters.pushes_applied.get(),
        pushes_duplicate: counters.pushes_duplicate.get(),
        chunks_applied: counters.chunks_applied.get(),
        chunks_refused: counters.chunks_refused.get(),
        pushes_torn: counters.pushes_torn.get(),
        calls_fenced: counters.calls_fenced.get(),
        bytes_received: counters.bytes_received.get(),
        bytes_sent: counters.bytes_sent.get(),
        weight_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PROTOCOL;

    fn header() -> v1::PushHeader {
        v1::PushHeader {
            id: Some(v1::PushId { worker: 1, incarnation: 2, seq: 3 }),
            learning_rate: 0.1,
            kind: v1::TensorKind::Trainable.into(),
            encoding: v1::Encoding::F32.into(),
            protocol: PROTOCOL,
            ..Default::default()
        }
    }

    #[test]
    fn a_good_header_is_taken() {
        let start = PushHeader::try_from(header()).unwrap();
        assert_eq!(start.id, PushId { worker: 1, incarnation: 2, seq: 3 });
        assert_eq!((start.encoding, start.pull_encoding), (Encoding::F32, Encoding::F32));
        for encoding in Encoding::ALL {
            let wire = v1::Encoding::from(encoding).into();
            let header = v1::PushHeader { encoding: wire, pull_encoding: wire, ..header() };
            let start = PushHeader::try_from(header).unwrap();
            assert_eq!((start.encoding, start.pull_encoding), (encoding, encoding));
        }
    }

    #[test]
    fn bad_headers_are_named() {
        let cases = [
            (v1::PushHeader { id: None, ..header() }, "`id`"),
            (v1::PushHeader { learning_rate: f32::NAN, ..header() }, "`learning_rate`"),
            (v1::PushHeader { encoding: 9, ..header() }, "`encoding`"),
            (v1::PushHeader { encoding: 0, ..header() }, "2 (bf16), 3 (f16), 4 (int8)"),
            (v1::PushHeader { pull_encoding: 9, ..header() }, "`pull_encoding`"),
            (v1::PushHeader { kind: 0, ..header() }, "`kind`"),
            (v1::PushHeader { oldest_unacknowledged_seq: 4, ..header() }, "`oldest"),
            (v1::PushHeader { pull_ahead: 17, ..header() }, "`pull_ahead`"),
            (v1::PushHeader { clock: u64::MAX, ..header() }, "`clock`"),
            (v1::PushHeader { clock: COUNT_MAX, ..header() }, "`clock`"),
            (v1::PushHeader { epoch: COUNT_MAX + 1, ..header() }, "`epoch`"),
            (v1::PushHeader { protocol: 1, ..header() }, "protocol 1, this process protocol"),
        ];
        for (header, field) in cases {
            let error = PushHeader::try_from(header).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }
}
