//! What a job says about its data: where they are and how they are written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ps_core::schema::Schema;
use strum::{EnumMessage, EnumString, IntoStaticStr, VariantArray};

use crate::TableOptions;

/// How samples are written in files and streams.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, EnumMessage, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
pub enum Format {
    /// Found out from the files' names and first bytes.
    #[default]
    Auto,
    /// The format of MNIST: one file of images, one of labels.
    Idx,
    /// Lines of values separated by commas.
    Csv,
    /// Protobuf records of SageMaker's built-in algorithms in a RecordIO container.
    RecordioProtobuf,
    /// Any bytes: a sample is some of them in a row, its class the byte after them.
    Text,
}

/// Bytes of text in a sample, where nobody says.
pub const CONTEXT: usize = 64;

/// Samples of a streamed table that its columns are learnt from, where nobody says.
pub const SCHEMA_SAMPLES: u64 = 100_000;

/// Samples of a stream of files that wait for their turn, where nobody says.
pub const SHUFFLE_BUFFER: usize = 4_096;

impl Format {
    /// The format as it is written on the command line.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What is around the files of a stream.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, EnumMessage, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
pub enum Wrapper {
    /// Nothing.
    #[default]
    None,
    /// Each file is the payload of one RecordIO record.
    Recordio,
}

impl Wrapper {
    /// The wrapper as it is written on the command line.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Where the data of a process are, and how they are to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSource {
    /// Folder or file of the training samples; without `test`, of the test samples too.
    pub train: Option<PathBuf>,
    /// Folder or file of the test samples.
    pub test: Option<PathBuf>,
    /// Folder or file of the validation samples; without it, files whose names say so.
    pub validation: Option<PathBuf>,
    /// Training samples that are the validation set instead.
    pub held_out: Option<HeldOut>,
    /// How the samples are written.
    pub format: Format,
    /// What is around the files.
    pub wrapper: Wrapper,
    /// How tables are read.
    pub table: TableOptions,
    /// What was understood of a table like this one, to be taken as it is.
    pub schema: Option<KnownSchema>,
    /// Samples of a streamed table that its columns are learnt from.
    pub schema_samples: u64,
    /// Classes that come before others, in this order: those of a model that is trained further.
    pub classes_first: Vec<String>,
    /// How many classes there are, when it is known; else one more than the largest label.
    pub classes: Option<usize>,
    /// The training samples are this process's own share: none is legal, and nothing is learnt from them alone that other
    /// processes would learn differently.
    pub sharded: bool,
    /// The training files are found but not loaded, whatever their size: they are a stream.
    pub streamed: bool,
    /// Bytes of text in one sample, at least 1.
    pub context: usize,
    /// Patterns of files that are no data, matched against a file's name and against its path below
    /// the data folder: `*` stands for any characters, `?` for one, `[ab]` for one of these.
    pub ignore_files: Vec<String>,
}

/// Where the schema of a table is.
#[derive(Clone, Debug, PartialEq)]
pub enum KnownSchema {
    /// In this file.
    File(PathBuf),
    /// In this file, which was read.
    Read {
        /// The file.
        path: PathBuf,
        /// What it says.
        schema: Arc<Schema>,
    },
    /// Here; data that are no table have none.
    OfModel(Arc<Schema>),
    /// Here: the members of the job have learnt it together.
    Learnt(Arc<Schema>),
}

/// Which training samples are held out of training, as a validation set: the same wherever all samples
/// are, for who they are follows from their numbers alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOut {
    /// Of all training samples, between 0 and 1.
    pub share: f64,
    /// Another one holds out others.
    pub seed: u64,
}

impl Default for DataSource {
    fn default() -> Self {
        Self {
            train: None,
            test: None,
            validation: None,
            held_out: None,
            format: Format::default(),
            wrapper: Wrapper::default(),
            table: TableOptions::default(),
            schema: None,
            schema_samples: SCHEMA_SAMPLES,
            classes_first: Vec::new(),
            classes: None,
            sharded: false,
            streamed: false,
            context: CONTEXT,
            ignore_files: Vec::new(),
        }
    }
}

impl DataSource {
    /// Everything in this folder, in the format that is found there.
    pub fn folder(path: impl AsRef<Path>) -> Self {
        Self { train: Some(path.as_ref().to_owned()), ..Self::default() }
    }
}
