//! Training and test data: found in folders or streams, checked strictly, held compactly.
//!
//! [`load`] reads what a [`DataSource`] describes: IDX (the format of MNIST), CSV,
//! RecordIO-protobuf, or text as bytes. [`bundled_digits`] needs no file at all. Unless each host has a share of its
//! own, every process of a job must see the same files, because samples are named by their number.

mod categories;
mod class;
mod collect;
mod columns;
mod contents;
mod csv_file;
mod draw;
mod error;
mod folder;
mod idx;
mod idx_reader;
mod idx_set;
mod input;
pub mod limits;
mod load;
mod reader;
mod record;
mod record_reader;
mod recordio;
mod sample_set;
mod samples;
mod sets;
mod shift;
mod source;
mod stream;
mod text;
mod wire;

pub use csv_file::LabelColumn;
pub use draw::Draw;
pub use error::Error;
pub use load::{bundled_digits, load, with_classes};
pub use sample_set::SampleSet;
pub use samples::{Dataset, Features, Samples};
pub use shift::{Shift, check_shift};
pub use source::{CONTEXT, DataSource, Format, SHUFFLE_BUFFER, Wrapper};
pub use stream::{
    Batches, OpenStream, Shuffle, StreamBatch, StreamFrom, StreamPlan, StreamSource, Streams,
    load_stream, stream_files,
};
