//! How values travel: encodings with fewer bits than `f32`, and the largest values alone.
//!
//! What the layouts are and why is in docs/adr/0008-wire-encodings.md. Every kernel gives the same
//! bits on every processor: each element is computed alone, by integer arithmetic or by IEEE
//! operations in the order written.

mod encoded_values;
mod feedback;
mod floats;
mod int8;
mod top_k;

pub use encoded_values::{EncodedValues, Error};
pub use feedback::{add_residual, leave_residual};
pub use int8::BLOCK as INT8_BLOCK;
pub use top_k::{TopK, kept};

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Bytes of a position.
pub const POSITION_BYTES: usize = size_of::<u16>();

/// Elements that positions can name.
pub const POSITIONS_MAX: usize = 1 << u16::BITS;

/// How values are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Little-endian `f32`, as they lie in memory.
    #[default]
    F32,
    /// The upper half of an `f32`, rounded to nearest, ties to even.
    Bf16,
    /// IEEE binary16, rounded likewise; finite values saturate at 65504.
    F16,
    /// A signed byte per value, in blocks of [`INT8_BLOCK`] with a scale of their own.
    Int8,
}

/// A name that no encoding has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {0:?}, expected f32, bf16, f16 or int8")]
pub struct UnknownEncoding(pub String);

impl Encoding {
    /// Every encoding.
    pub const ALL: [Self; 4] = [Self::F32, Self::Bf16, Self::F16, Self::Int8];

    /// The name that options have.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }

    /// Bytes of so many values.
    pub fn encoded_bytes(self, elements: usize) -> usize {
        match self {
            Self::F32 => elements * size_of::<f32>(),
            Self::Bf16 | Self::F16 => elements * size_of::<u16>(),
            Self::Int8 => int8::encoded_bytes(elements),
        }
    }

    /// Whether the bytes of so many values, and those of others behind them, are the bytes of all together.
    pub fn joins(self, elements: usize) -> bool {
        self != Self::Int8 || elements.is_multiple_of(INT8_BLOCK)
    }

    /// Writes values; `bytes` must be [`Self::encoded_bytes`] long, at any alignment.
    pub fn encode(self, values: &[f32], bytes: &mut [u8]) {
        debug_assert_eq!(bytes.len(), self.encoded_bytes(values.len()));
        match self {
            Self::F32 => floats::encode_f32(values, bytes),
            Self::Bf16 => floats::encode_bf16(values, bytes),
            Self::F16 => floats::encode_f16(values, bytes),
            Self::Int8 => int8::encode(values, bytes),
        }
    }

    /// Reads values; `bytes` must be [`Self::encoded_bytes`] of them long, at any alignment.
    pub fn decode(self, bytes: &[u8], values: &mut [f32]) {
        debug_assert_eq!(bytes.len(), self.encoded_bytes(values.len()));
        match self {
            Self::F32 => floats::decode_f32(bytes, values),
            Self::Bf16 => floats::decode_bf16(bytes, values),
            Self::F16 => floats::decode_f16(bytes, values),
            Self::Int8 => int8::decode(bytes, values),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Encoding {
    type Err = UnknownEncoding;

    fn from_str(name: &str) -> Result<Self, UnknownEncoding> {
        let found = Self::ALL.into_iter().find(|encoding| encoding.name() == name);
        found.ok_or_else(|| UnknownEncoding(name.to_owned()))
    }
}

#[cfg(test)]
mod tests;
