//! The bulk calls' messages without a copy of the whole message on either side.
//!
//! On the wire nothing differs from what the generated code sends and takes: length-prefixed
//! protobuf on the same paths, so that any gRPC client works. What differs is the memory: values are
//! sent as slices of where they lie, and are received into where they belong, while the generated
//! code's codec can only do both through one contiguous buffer. See docs/adr/0007-bulk-calls.md.

mod body;
mod chunk;
mod fields;
mod frames;
mod pieces;
mod reader;
mod values;

pub use body::{flowing_request, message_body, open_request, request, response};
pub use chunk::{Chunk, ChunkBuffer, ChunkBytes};
pub use pieces::Pieces;
pub use reader::{MessageReader, number_of_messages};
pub use values::{BulkMessage, BulkReader, Item, missing_header};

/// Path of `DataPlane.Init`.
pub const INIT: &str = "/ps.v1.DataPlane/Init";

/// Path of `DataPlane.Push`.
pub const PUSH: &str = "/ps.v1.DataPlane/Push";

/// Path of `DataPlane.PushMany`.
pub const PUSH_MANY: &str = "/ps.v1.DataPlane/PushMany";

/// Path of `DataPlane.Pull`.
pub const PULL: &str = "/ps.v1.DataPlane/Pull";

/// Path of `DataPlane.PushPull`.
pub const PUSH_PULL: &str = "/ps.v1.DataPlane/PushPull";

#[cfg(test)]
mod tests;
