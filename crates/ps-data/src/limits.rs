//! Limits on what is read as data, each with its reason.

/// Samples in one set, as of a whole job.
pub const SAMPLES_MAX: usize = ps_core::limits::SAMPLES_MAX as usize;

/// Bytes of features of one set in memory: every worker holds its data whole, so more than this
/// is a mistake in a header or a job whose files are to be streamed (`--stream`).
pub const FEATURE_BYTES_MAX: usize = 16 << 30;

/// Classes of a label: the last layer of a classifier has one output for each.
pub const CLASSES_MAX: usize = ps_core::limits::LABEL_CLASSES_MAX;

/// Columns of a CSV file: the statistics of every column are held while the file is read.
pub const COLUMNS_MAX: usize = ps_core::schema::COLUMNS_MAX;

/// Bytes of one record of a container: a record is one sample, and holds it in memory while it is
/// decoded, at up to 16 times its size where a hostile one repeats the smallest fields.
pub const RECORD_BYTES_MAX: usize = 32 << 20;

/// Inputs of one sample whose size a record claims (a sparse one is short and claims much): as
/// many as a dense record of the largest size could hold as `f32`.
pub const INPUTS_MAX: usize = RECORD_BYTES_MAX / 4;

/// Sizes in a sample's shape: no layer takes more.
pub const SIZES_MAX: usize = 8;

/// Entries in the two maps of a record, where one each is expected.
pub const ENTRIES_MAX: usize = 64;

/// Bytes of text in one sample: each is an input, and models that look at all pairs of them need
/// memory for the square of this.
pub const CONTEXT_MAX: usize = 65_536;

/// Samples of a stream that wait for their turn: with more of them a mistyped number would be found
/// only when the memory is full.
pub const SHUFFLE_SAMPLES_MAX: usize = 1 << 24;

/// Files and folders below a data folder: all their names are held and sorted.
pub const FILES_MAX: usize = 1_000_000;

/// Folders inside each other: more is a link to a folder above.
pub const FOLDER_DEPTH_MAX: usize = 16;

/// Batches that are made before the step that needs them: one is there, the next is being made.
pub const BATCHES_AHEAD_MAX: usize = 2;
