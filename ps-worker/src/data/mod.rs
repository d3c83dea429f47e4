//! Training and test data: found in folders or streams, checked strictly, held compactly.
//!
//! [`load`] reads what a [`DataSource`] describes: IDX (the format of MNIST), CSV, or
//! RecordIO-protobuf. [`bundled_digits`] needs no file at all. Unless each host has a share of its
//! own, every process of a job must see the same files, because samples are named by their number.

mod categories;
mod class;
mod collect;
mod columns;
mod contents;
mod csv_file;
mod error;
mod folder;
mod idx;
mod idx_set;
mod input;
pub mod limits;
mod load;
mod reader;
mod record;
mod record_reader;
mod recordio;
mod samples;
mod sets;
mod source;
mod stream;
mod wire;

pub use csv_file::LabelColumn;
pub use error::Error;
pub(crate) use load::with_classes;
pub use load::{bundled_digits, load};
pub use samples::{Dataset, Features, Samples};
pub use source::{DataSource, Format, Wrapper};
pub use stream::{
    Batches, OpenStream, StreamBatch, StreamPlan, StreamSource, Streams, load_stream,
};
