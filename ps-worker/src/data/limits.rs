//! Limits on what is read as data, each with its reason.

/// Samples in one set: sample numbers are `u32` in the order of a pass.
pub const SAMPLES_MAX: usize = u32::MAX as usize;

/// Bytes of features of one set in memory: every worker holds its data whole, so more than this
/// is a mistake in a header or a job that needs data read in parts, which is not supported.
pub const FEATURE_BYTES_MAX: usize = 16 << 30;

/// Distinct texts in one CSV column that become one input each. More of them (names, hashes, free
/// text) would make inputs that are nearly always zero: such a column needs an embedding table.
pub const CATEGORIES_MAX: usize = 256;

/// Classes of a label: the last layer of a classifier has one output for each.
pub const CLASSES_MAX: usize = 65_536;

/// Columns of a CSV file: the statistics of every column are held while the file is read.
pub const COLUMNS_MAX: usize = 65_536;
