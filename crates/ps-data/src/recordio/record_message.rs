//! The protobuf message `aialgs.data.Record`, as far as a sample needs it; field numbers as AWS's
//! encoder writes them. Not a wire of ours, hence not in `proto/`.
//!
//! ```proto
//! message Record { map<string, Value> features = 1; map<string, Value> label = 2; }
//! message Value {
//!   oneof value {
//!     Float32Tensor float32_tensor = 2; Float64Tensor float64_tensor = 3;
//!     Int32Tensor int32_tensor = 7; Bytes bytes = 9;
//!   }
//! }
//! message Float32Tensor { repeated float values = 1; repeated uint64 keys = 2; repeated uint64 shape = 3; }
//! ```

use prost::{Message, Oneof};

/// A sample. The maps are lists of their entries, so that an entry written twice is seen.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Record {
    #[prost(message, repeated, tag = "1")]
    pub(super) features: Vec<Entry>,
    #[prost(message, repeated, tag = "2")]
    pub(super) label: Vec<Entry>,
}

/// An entry of a map.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Entry {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Value {
    #[prost(oneof = "Tensor", tags = "2, 3, 7, 9")]
    pub(super) tensor: Option<Tensor>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Tensor {
    #[prost(message, tag = "2")]
    Float32(Float32Tensor),
    #[prost(message, tag = "3")]
    Float64(Float64Tensor),
    #[prost(message, tag = "7")]
    Int32(Int32Tensor),
    #[prost(message, tag = "9")]
    Bytes(Bytes),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Float32Tensor {
    #[prost(float, repeated, tag = "1")]
    pub(super) values: Vec<f32>,
    #[prost(uint64, repeated, tag = "2")]
    pub(super) keys: Vec<u64>,
    #[prost(uint64, repeated, tag = "3")]
    pub(super) shape: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Float64Tensor {
    #[prost(double, repeated, tag = "1")]
    pub(super) values: Vec<f64>,
    #[prost(uint64, repeated, tag = "2")]
    pub(super) keys: Vec<u64>,
    #[prost(uint64, repeated, tag = "3")]
    pub(super) shape: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Int32Tensor {
    #[prost(int32, repeated, tag = "1")]
    pub(super) values: Vec<i32>,
    #[prost(uint64, repeated, tag = "2")]
    pub(super) keys: Vec<u64>,
    #[prost(uint64, repeated, tag = "3")]
    pub(super) shape: Vec<u64>,
}

/// An encoded picture or text; its content is not looked at.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Bytes {}

/// How many fields a message has at its top, or what is wrong with it; counted before anything is
/// decoded, because an entry of two bytes becomes a hundred in memory.
pub(super) fn count_fields(mut message: &[u8]) -> Result<usize, prost::DecodeError> {
    let mut fields = 0;
    while !message.is_empty() {
        let (tag, wire_type) = prost::encoding::decode_key(&mut message)?;
        let context = prost::encoding::DecodeContext::default();
        prost::encoding::skip_field(wire_type, tag, &mut message, context)?;
        fields += 1;
    }
    Ok(fields)
}
