//! What workers say to a shard, checked against nothing but itself.

use crate::TensorKind;
use crate::ids::{ChunkId, Clock, Epoch, Incarnation, PushId, Seq, Version, WorkerId};
use crate::span::Span;
use ps_kernels::encoding::Encoding;

/// What a push is beside its chunks.
#[derive(Clone, Debug, PartialEq)]
pub struct PushHeader {
    /// The same on every retry.
    pub id: PushId,
    /// The oldest push that the worker may still retry.
    pub oldest: Seq,
    /// The epoch the worker is in.
    pub epoch: Epoch,
    /// The step this push is part of.
    pub clock: Clock,
    /// Whether it is the last push of its step: state tensors come in one of their own, numbered
    /// before the gradient's.
    pub ends_step: bool,
    /// The rate before any correction for staleness.
    pub learning_rate: f32,
    /// Mean loss of the batch that it was computed from, finite or not: for the record alone.
    pub loss: f32,
    /// Gradients or values.
    pub kind: TensorKind,
    /// Chunks of this push on this shard.
    pub chunks_total: u32,
    /// How the values are written.
    pub encoding: Encoding,
    /// How the weights that it may be answered with are written.
    pub pull_encoding: Encoding,
    /// Steps between the push and the one that a pull with it is for.
    pub pull_ahead: u32,
    /// Whether such a pull leaves out chunks that are what they were at the start: the caller has them.
    pub has_start: bool,
}

/// The part of a push that belongs to a run of chunks, as it came.
#[derive(Clone, Copy, Debug)]
pub struct EncodedRun<'a> {
    /// The first of the chunks.
    pub first: ChunkId,
    /// How many they are; more than one are whole.
    pub chunks: u32,
    /// The version of each that the gradient was computed from.
    pub pulled_version: Version,
    /// What of a single chunk the values cover; empty for all.
    pub spans: &'a [Span],
    /// The spans' values one after the other, in the encoding that the push's header names.
    pub values: &'a [u8],
    /// Positions of the values among the covered elements, little-endian `u16`; empty for all.
    pub positions: &'a [u8],
}

/// Who pulls for which step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Puller {
    /// Its rank.
    pub worker: WorkerId,
    /// In which of its lives.
    pub incarnation: Incarnation,
    /// Its next step.
    pub clock: Clock,
    /// Every push of a step below it is acknowledged, or was never made.
    pub finished_clock: Clock,
    /// The weights are for the steps up to so many after the next one.
    pub ahead: u32,
}
