//! What streams are, and what is to be made of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ps_core::schema::Schema;

use super::shuffle_buffer::Shuffle;
use crate::{DataSource, Format, Shift, TableOptions, Wrapper};

/// Where the streams are and how their records are written.
#[derive(Clone, Debug)]
pub struct StreamSource {
    /// Where the bytes come from.
    pub from: StreamInput,
    /// How the samples are written; `Auto` looks at the first bytes.
    pub format: Format,
    /// What is around the files of which the stream is made.
    pub wrapper: Wrapper,
    /// How tables are read.
    pub table: TableOptions,
    /// What is known of the table; `None`: numbers are taken as they are.
    pub schema: Option<Arc<Schema>>,
    /// Bytes of text in one sample, at least 1.
    pub context: usize,
}

/// Where the bytes of streams come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamInput {
    /// A FIFO for each stream.
    Fifos {
        /// What the FIFOs' names begin with: `_` and the number of the stream follow.
        stem: PathBuf,
        /// How long to wait for a FIFO to be there, and for its first byte.
        patience: Duration,
    },
    /// The same files for each stream, one after the other; of the format IDX, a file of images and
    /// one of labels.
    Files(Vec<PathBuf>),
}

impl StreamInput {
    /// What errors name before anything was read.
    pub(super) fn path(&self, opened: u64) -> PathBuf {
        match self {
            Self::Fifos { stem, .. } => numbered(stem, opened),
            Self::Files(files) => files.first().cloned().unwrap_or_default(),
        }
    }
}

impl StreamSource {
    /// These files, read as a source of data says.
    pub(crate) fn of_files(files: Vec<PathBuf>, format: Format, source: &DataSource) -> Self {
        Self {
            from: StreamInput::Files(files),
            format,
            wrapper: source.wrapper,
            table: source.table.clone(),
            schema: None,
            context: source.context,
        }
    }
}

/// What is to be made of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPlan {
    /// Of every so many records one is taken ...
    pub workers: u64,
    /// ... whose number divided by `workers` leaves this.
    pub rank: u64,
    /// Samples in a batch; the last may have fewer.
    pub batch_samples: usize,
    /// The shape that every sample must have.
    pub shape: Vec<usize>,
    /// Ids of every sample.
    pub id_columns: usize,
    /// Outputs of the model: classes are below it, and labels have so many numbers; `None` where nobody knows.
    pub outputs: Option<usize>,
    /// How samples are moved, if they are images that are; their numbers are those of the records.
    pub shift: Option<Shift>,
    /// How their order is changed, if it is.
    pub shuffle: Option<Shuffle>,
}

/// The path of a stream.
fn numbered(stem: &Path, number: u64) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(format!("_{number}"));
    PathBuf::from(name)
}
