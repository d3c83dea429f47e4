//! The wire: protobuf messages, generated gRPC code and checked conversion to the domain.
//!
//! Conversion is the only place that checks what arrives: behind it, values are valid.

pub mod bulk;
pub mod convert;

/// The version of the protocol: another one is refused, because it means something else by the same
/// bytes. 2: steps that end with their last push, lives; 3: another order of the samples of a pass.
pub const PROTOCOL: u32 = 3;

/// The encoded `google.protobuf.FileDescriptorSet` of `ps/v1/*.proto`, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Generated from `ps/v1/*.proto`; the fields are documented there.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("ps.v1");
}
