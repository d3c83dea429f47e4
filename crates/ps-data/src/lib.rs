//! Training and test data: found in folders or streams, checked strictly, held compactly.
//!
//! [`load`] reads what a [`DataSource`] describes: IDX (the format of MNIST), CSV,
//! RecordIO-protobuf, or text as bytes. [`bundled_digits`] needs no file at all. Unless each host has a share of its
//! own, every process of a job must see the same files, because samples are named by their number.

mod byte_stream;
mod choice;
mod column_choice;
mod content;
mod csv_file;
mod data_files;
mod dataset_files;
mod draw;
mod embed_choice;
mod error;
mod file_list;
mod file_names;
mod file_sets;
mod folder;
mod gzip;
mod held_out;
mod idx;
mod ignored;
mod inputs;
mod labels;
mod learning;
pub mod limits;
mod load;
mod look;
mod number_label;
mod open_reader;
mod recordio;
mod role;
mod sample_reader;
mod sample_set;
mod samples;
mod samples_builder;
mod set_aside;
mod shared;
mod shift;
mod source;
mod stream;
mod table_options;
mod table_text;
mod text;
mod values;
mod warnings;

pub use column_choice::ColumnChoice;
pub use csv_file::{
    KeptColumn, SampleEncoder, SchemaReader, UnseenTexts, load_with_schema, unused_columns,
};
pub use draw::Draw;
pub use embed_choice::EmbedChoice;
pub use error::Error;
pub use file_list::{FileList, FileRole, ListedFile, files};
pub use inputs::{InputWidth, Inputs};
pub use labels::{Label, Labels};
pub use learning::{schema_of_sums, table_sums};
pub use load::{bundled_digits, known_schema, load, with_classes};
pub use sample_set::SampleSet;
pub use samples::{Dataset, Features, Samples};
pub use shared::{SharedDataset, open_shared};
pub use shift::{Shift, check_shift};
pub use source::{
    CONTEXT, DataSource, Format, HeldOut, KnownSchema, SCHEMA_SAMPLES, SHUFFLE_BUFFER, Wrapper,
};
pub use stream::{
    OpenStream, Shuffle, StreamBatch, StreamBatches, StreamInput, StreamOpener, StreamPlan,
    StreamSource, UnknownStream, load_stream, stream_files,
};
pub use table_options::{HeaderChoice, Mark, TableOptions};
pub use values::Values;
