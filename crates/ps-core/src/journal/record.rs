//! One thing that happened to a shard.

use super::fields::{Fields, Malformed, put_run, put_u32, put_u64};
use crate::TensorKind;
use crate::chunk::NonFinite;
use crate::ids::{ChunkId, Clock, Epoch, Incarnation, Life, PushId, Seq, Version, WorkerId};
use crate::span::Span;
use ps_kernels::encoding::Encoding;

/// One thing that happened to a shard.
#[derive(Clone, Debug, PartialEq)]
pub enum Record<'a> {
    /// A push was begun, or met again.
    Push(PushRecord),
    /// A chunk of a push was applied or refused.
    Chunk(ChunkRecord<'a>),
    /// Somebody was shut out.
    Fence(FenceRecord),
}

/// A push as its window has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PushRecord {
    /// Which.
    pub id: PushId,
    /// The oldest push that its worker may still send again.
    pub oldest: Seq,
    /// The worker's clock once it and all before it are applied.
    pub clock_after: Clock,
    /// Chunks of the shard that it touches.
    pub chunks: u32,
    /// Whether its step ends with it.
    pub ends_step: bool,
    /// Mean loss of its batch, as its worker said it.
    pub loss: f32,
}

/// What came of a chunk of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkResult {
    /// It is in the weights, which have this version since.
    Applied(Version),
    /// It is not, and will not be.
    Refused(NonFinite),
}

/// A chunk of a push, as it came, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ChunkRecord<'a> {
    /// Of which push.
    pub id: PushId,
    /// Which chunk of the model.
    pub chunk: ChunkId,
    /// What came of it.
    pub result: ChunkResult,
    /// The version that the staleness was counted from.
    pub pulled_version: Version,
    /// The step that the push is part of.
    pub clock: Clock,
    /// The rate before any correction for staleness.
    pub learning_rate: f32,
    /// Gradients or values.
    pub kind: TensorKind,
    /// How the values are written.
    pub encoding: Encoding,
    /// What of the chunk they cover; empty for all.
    pub spans: Vec<Span>,
    /// The values in this encoding; of one that was refused there are none.
    pub values: &'a [u8],
    /// Positions of the values among the covered elements; empty for all.
    pub positions: &'a [u8],
}

/// Who is shut out from now on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FenceRecord {
    /// The job's life.
    pub life: Life,
    /// The shard's epoch.
    pub epoch: Epoch,
    /// Workers of which earlier incarnations are over.
    pub raised: Vec<(WorkerId, Incarnation)>,
}

/// Bytes that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is written there is no record")]
pub struct RecordError;

impl From<Malformed> for RecordError {
    fn from(Malformed: Malformed) -> Self {
        Self
    }
}

const PUSH: u8 = 1;
const CHUNK: u8 = 2;
const FENCE: u8 = 3;

impl<'a> Record<'a> {
    /// Adds it to these bytes.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Push(push) => push.encode(bytes),
            Self::Chunk(chunk) => chunk.encode(bytes),
            Self::Fence(fence) => fence.encode(bytes),
        }
    }

    /// Takes the first record from these bytes; `None` at their end.
    ///
    /// # Errors
    /// They do not begin with one.
    pub fn decode(bytes: &mut &'a [u8]) -> Result<Option<Self>, RecordError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut fields = Fields(bytes);
        let record = match fields.u8()? {
            PUSH => Self::Push(PushRecord::decode(&mut fields)?),
            CHUNK => Self::Chunk(ChunkRecord::decode(&mut fields)?),
            FENCE => Self::Fence(FenceRecord::decode(&mut fields)?),
            _ => return Err(RecordError),
        };
        *bytes = fields.0;
        Ok(Some(record))
    }
}

fn put_id(bytes: &mut Vec<u8>, id: PushId) {
    put_u32(bytes, id.worker);
    put_u64(bytes, id.incarnation);
    put_u64(bytes, id.seq);
}

fn take_id(fields: &mut Fields<'_>) -> Result<PushId, Malformed> {
    Ok(PushId { worker: fields.u32()?, incarnation: fields.u64()?, seq: fields.u64()? })
}

impl PushRecord {
    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push(PUSH);
        put_id(bytes, self.id);
        put_u64(bytes, self.oldest);
        put_u64(bytes, self.clock_after);
        put_u32(bytes, self.chunks);
        bytes.push(u8::from(self.ends_step));
        put_u32(bytes, self.loss.to_bits());
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            id: take_id(fields)?,
            oldest: fields.u64()?,
            clock_after: fields.u64()?,
            chunks: fields.u32()?,
            ends_step: flag(fields.u8()?)?,
            loss: f32::from_bits(fields.u32()?),
        })
    }
}

impl<'a> ChunkRecord<'a> {
    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push(CHUNK);
        put_id(bytes, self.id);
        put_u32(bytes, self.chunk);
        let (result, version) = match self.result {
            ChunkResult::Applied(version) => (0, version),
            ChunkResult::Refused(NonFinite::Gradient) => (1, 0),
            ChunkResult::Refused(NonFinite::Result) => (2, 0),
        };
        bytes.push(result);
        put_u64(bytes, version);
        put_u64(bytes, self.pulled_version);
        put_u64(bytes, self.clock);
        put_u32(bytes, self.learning_rate.to_bits());
        bytes.push(match self.kind {
            TensorKind::Trainable => 0,
            TensorKind::State => 1,
        });
        bytes.push(match self.encoding {
            Encoding::F32 => 0,
            Encoding::Bf16 => 1,
            Encoding::F16 => 2,
            Encoding::Int8 => 3,
        });
        put_u32(bytes, self.spans.len() as u32);
        for span in &self.spans {
            put_u32(bytes, span.start);
            put_u32(bytes, span.len);
        }
        put_run(bytes, self.values);
        put_run(bytes, self.positions);
    }

    fn decode(fields: &mut Fields<'a>) -> Result<Self, Malformed> {
        let (id, chunk) = (take_id(fields)?, fields.u32()?);
        let result = match (fields.u8()?, fields.u64()?) {
            (0, version) => ChunkResult::Applied(version),
            (1, 0) => ChunkResult::Refused(NonFinite::Gradient),
            (2, 0) => ChunkResult::Refused(NonFinite::Result),
            _ => return Err(Malformed),
        };
        let (pulled_version, clock) = (fields.u64()?, fields.u64()?);
        let learning_rate = f32::from_bits(fields.u32()?);
        let kind = match fields.u8()? {
            0 => TensorKind::Trainable,
            1 => TensorKind::State,
            _ => return Err(Malformed),
        };
        let encoding = *Encoding::ALL.get(usize::from(fields.u8()?)).ok_or(Malformed)?;
        let spans = fields.u32()?;
        // Not as many as are announced: memory for those that are there.
        let spans = fields.bytes(spans as usize * 2 * size_of::<u32>())?;
        let (numbers, _) = spans.as_chunks::<4>();
        let numbers: Vec<u32> = numbers.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        let spans = numbers.as_chunks::<2>().0.iter().map(|&[start, len]| Span { start, len });
        Ok(Self {
            id,
            chunk,
            result,
            pulled_version,
            clock,
            learning_rate,
            kind,
            encoding,
            spans: spans.collect(),
            values: fields.run()?,
            positions: fields.run()?,
        })
    }
}

impl FenceRecord {
    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push(FENCE);
        put_u64(bytes, self.life);
        put_u64(bytes, self.epoch);
        put_u32(bytes, self.raised.len() as u32);
        for (worker, incarnation) in &self.raised {
            put_u32(bytes, *worker);
            put_u64(bytes, *incarnation);
        }
    }

    fn decode(fields: &mut Fields<'_>) -> Result<Self, Malformed> {
        let (life, epoch, count) = (fields.u64()?, fields.u64()?, fields.u32()?);
        let mut raised = Vec::new();
        for _ in 0..count {
            raised.push((fields.u32()?, fields.u64()?));
        }
        Ok(Self { life, epoch, raised })
    }
}

fn flag(byte: u8) -> Result<bool, Malformed> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed),
    }
}
