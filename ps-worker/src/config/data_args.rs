//! The options that say how data are to be read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::builder::BoolishValueParser;

use super::table_args::TableArgs;
use ps_core::schema::Schema;
use ps_data::{
    CONTEXT, DataSource, Format, HeldOut, KnownSchema, SCHEMA_SAMPLES, SHUFFLE_BUFFER, StreamInput,
    StreamSource, Wrapper,
};

/// Where the test data are, and how all data are written.
#[derive(clap::Args, Clone, Debug)]
pub struct DataArgs {
    /// Directory or file of the test data, when it is not the one of --data.
    #[arg(long, env = "PS_TEST", value_name = "DIR")]
    pub test: Option<PathBuf>,
    /// Directory or file of the validation data, which evaluations during training are on; the test data then tell
    /// at the end alone [default: files below --data and --test with `val`, `valid`, `validation`, `dev` or `eval` in
    /// their names, beside test files].
    #[arg(long, env = "PS_VALIDATION", value_name = "DIR")]
    pub validation: Option<PathBuf>,
    /// Hold this share of the training samples out as the validation set: chosen at random, the same in every
    /// process, and not trained on; between 0 and 1.
    #[arg(long, env = "PS_VALIDATION_SPLIT", value_name = "SHARE")]
    pub validation_split: Option<f64>,
    /// Which samples --validation-split holds out: another seed, others. It is not --seed, so that runs with other
    /// start weights can be compared.
    #[arg(long, env = "PS_VALIDATION_SEED", default_value_t = 1, value_name = "SEED")]
    pub validation_seed: u64,
    /// How the data are written; auto looks at names and first bytes. text: any bytes, a sample is
    /// --context of them and its class the byte after them; without test files the last tenth of
    /// the samples is the test set.
    #[arg(long, env = "PS_FORMAT", value_parser = ps_cli::choice::<Format>(), default_value = "auto")]
    pub format: Format,
    /// Files that are no data: patterns of their names, or of their paths below --data or --test, in
    /// which `*` stands for any characters. Names that begin with `_` or `.` never are.
    #[arg(long, env = "PS_IGNORE_FILES", value_name = "PATTERN", value_delimiter = ',')]
    pub ignore_files: Vec<String>,
    /// What is around each file: recordio for SageMaker's RecordWrapperType RecordIO.
    #[arg(long, env = "PS_WRAPPER", value_parser = ps_cli::choice::<Wrapper>(), default_value = "none")]
    pub wrapper: Wrapper,
    /// Text: bytes of one sample; the next sample begins after them.
    #[arg(long, env = "PS_CONTEXT", default_value_t = CONTEXT, value_name = "N")]
    pub context: usize,
    /// Number of classes [default: one more than the largest label; with --pipe or --stream, of the
    /// test data's labels].
    #[arg(long, env = "PS_CLASSES", value_name = "N")]
    pub classes: Option<usize>,
    /// Move each training image at random by up to so many pixels in each direction, anew in every
    /// pass; what comes in is 0. At most half of the image's smaller side; 0 leaves them alone.
    /// Test images are never moved.
    #[arg(long, env = "PS_AUGMENT_SHIFT", default_value_t = 0, value_name = "PIXELS")]
    pub augment_shift: usize,
    /// The training data here are this worker's own share: others have others, of any number, and
    /// a share without any sample is legal. Every member of the job needs this option then.
    #[arg(long, env = "PS_SHARDED", value_parser = BoolishValueParser::new())]
    pub sharded: bool,
    /// --data is the stem of FIFOs, one for each pass: DATA_0, DATA_1, ..
    #[arg(long, env = "PS_PIPE", value_parser = BoolishValueParser::new())]
    pub pipe: bool,
    /// The training files are not loaded but read anew in every pass, each worker taking its part of
    /// the samples; for files larger than memory. Columns of a table are learnt from the beginning of the
    /// files (--schema-samples), with --sharded of each share. Test data are loaded as always; text without test files has no test set then. All workers
    /// and the evaluator need this option.
    #[arg(long, env = "PS_STREAM", value_parser = BoolishValueParser::new())]
    pub stream: bool,
    /// With --stream: samples that wait in memory for their turn, so that their order changes; 1
    /// keeps the files' order [default: 4096].
    #[arg(long, env = "PS_SHUFFLE_BUFFER", value_name = "N")]
    pub shuffle_buffer: Option<usize>,
    /// --test is the stem of a FIFO, TEST_0: read once, by the process that evaluates.
    #[arg(long, env = "PS_TEST_PIPE", value_parser = BoolishValueParser::new())]
    pub test_pipe: bool,
    /// Seconds that the data may take to be read, and the next samples of a stream to come. Nobody
    /// takes a worker that waits for its data for stuck or missing before.
    #[arg(long, env = "PS_LOAD_TIMEOUT_S", default_value_t = 3600, value_name = "S",
        value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub load_timeout_s: u64,
    /// What was understood of a table like this one: a file schema.json that a model or `psrun data --write-schema` left. It is
    /// taken as it is, and hosts that see a part of the data alone need not learn it together.
    #[arg(long, env = "PS_SCHEMA", value_name = "FILE")]
    pub schema: Option<PathBuf>,
    /// With --stream or --pipe: samples from the beginning of the training data that the columns of a table are learnt
    /// from, with --sharded of each share [default: 100000]. Those of a FIFO are held in memory meanwhile.
    #[arg(long, env = "PS_SCHEMA_SAMPLES", value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..))]
    pub schema_samples: Option<u64>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub table: TableArgs,
}

impl DataArgs {
    /// Whether the training samples are read while they are trained on.
    pub fn is_streamed(&self) -> bool {
        self.pipe || self.stream
    }

    /// How long data may take to come.
    pub fn load_timeout(&self) -> Duration {
        Duration::from_secs(self.load_timeout_s)
    }

    /// How many samples of a stream wait for their turn; `None` where its order is kept.
    pub fn shuffle_samples(&self) -> Option<usize> {
        self.stream.then_some(self.shuffle_buffer.unwrap_or(SHUFFLE_BUFFER)).filter(|&n| n > 1)
    }

    /// The files to read; what comes through FIFOs is not among them.
    pub fn source(&self, data: Option<&Path>) -> DataSource {
        let test = self.test.as_ref().filter(|_| self.test_stem().is_none());
        DataSource {
            train: data.filter(|_| !self.pipe).map(Path::to_owned),
            test: test.cloned(),
            validation: self.validation.clone(),
            held_out: self
                .validation_split
                .map(|share| HeldOut { share, seed: self.validation_seed }),
            format: self.format,
            wrapper: self.wrapper,
            table: self.table.options(),
            schema: self.schema.clone().map(KnownSchema::File),
            schema_samples: self.schema_samples.unwrap_or(SCHEMA_SAMPLES),
            classes_first: Vec::new(),
            classes: self.classes,
            sharded: self.sharded || self.pipe,
            streamed: self.stream,
            context: self.context,
            ignore_files: self.ignore_files.clone(),
        }
    }

    /// The stem of the test data's FIFO, if they come through one.
    pub fn test_stem(&self) -> Option<&Path> {
        self.test.as_deref().filter(|_| self.test_pipe)
    }

    /// Streams with this stem, of a table that is known or not.
    pub fn stream(&self, stem: &Path, schema: Option<Arc<Schema>>) -> StreamSource {
        StreamSource {
            from: StreamInput::Fifos { stem: stem.to_owned(), patience: self.load_timeout() },
            format: self.format,
            wrapper: self.wrapper,
            table: self.table.options(),
            schema,
            context: self.context,
        }
    }
}
