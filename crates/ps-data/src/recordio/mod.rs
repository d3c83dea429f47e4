//! The RecordIO container, and the protobuf samples of SageMaker's built-in algorithms in it.

mod container;
mod payload_lines;
mod reader;
mod record;
mod record_message;

pub(crate) use container::MAGIC;
pub(crate) use payload_lines::PayloadLines;
pub(crate) use reader::RecordReader;
