//! What can be wrong with data, each said with the file, what was expected and what to do.

use std::path::{Path, PathBuf};

/// Why data could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory holds no data that is known.
    #[error(
        "no data in {}: looked for {looked_for}; {found}; {hint}",
        dir.display()
    )]
    NotFound {
        /// The directory that was searched.
        dir: PathBuf,
        /// The sets of files that would have been data.
        looked_for: String,
        /// What was there instead.
        found: String,
        /// What to do.
        hint: &'static str,
    },
    /// The file could not be opened or read.
    #[error("reading data from {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The compressed stream is damaged or cut off.
    #[error(
        "{}: damaged gzip data after {bytes} uncompressed bytes: {source}; was it copied in full? \
         copy it again or check it with `gzip -t`",
        path.display()
    )]
    Gzip {
        /// The file.
        path: PathBuf,
        /// Uncompressed bytes that came out before the damage.
        bytes: usize,
        /// What the decoder said.
        source: std::io::Error,
    },
    /// The first four bytes are not those of the expected kind of IDX file.
    #[error(
        "{}: magic {found:#010x}, expected {expected:#010x} ({expected_kind}); {hint}",
        path.display()
    )]
    Magic {
        /// The file.
        path: PathBuf,
        /// What the file begins with.
        found: u32,
        /// What it should begin with.
        expected: u32,
        /// The kind of file expected, in words.
        expected_kind: &'static str,
        /// What the file may be instead.
        hint: String,
    },
    /// The file is shorter or longer than its header says.
    #[error("{}: {found}, expected {expected}; {hint}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// How much was there.
        found: String,
        /// How much the header promises.
        expected: String,
        /// What to do.
        hint: &'static str,
    },
    /// Two files that belong together do not fit.
    #[error("{}: {found}, but {} {expected}; {hint}", path.display(), other.display())]
    Mismatch {
        /// The file that does not fit.
        path: PathBuf,
        /// What it holds.
        found: String,
        /// The file it should fit.
        other: PathBuf,
        /// What that one holds.
        expected: String,
        /// What to do.
        hint: &'static str,
    },
    /// More than a limit allows.
    #[error("{}: {what} is {found}, the limit is {limit}; {hint}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is limited.
        what: &'static str,
        /// How much the file has or claims.
        found: u128,
        /// The limit.
        limit: usize,
        /// What to do.
        hint: &'static str,
    },
    /// A CSV value, with its place.
    #[error("{}, line {line}, {column}: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: u64,
        /// The column by number and, if it has one, by name.
        column: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A file as a whole.
    #[error("{}: {problem}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A record of a container, with its place.
    #[error("{}, record {record}: {problem}", path.display())]
    Record {
        /// The file or stream.
        path: PathBuf,
        /// The record's number, from 1.
        record: u64,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A stream as a whole.
    #[error("stream {}: {problem}", path.display())]
    Stream {
        /// The FIFO.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Options that contradict the data or each other.
    #[error("{0}")]
    Options(String),
    /// A sample number beyond the set.
    #[error("sample {sample} of {samples} was asked for; do all processes read the same data?")]
    NoSuchSample {
        /// The number asked for.
        sample: u64,
        /// How many there are.
        samples: usize,
    },
}

/// Checks limits: of each what is limited, how much of it there is, and the most that there may be.
///
/// # Errors
/// The first that is exceeded.
pub(super) fn check_limits<const N: usize>(
    path: &Path,
    limits: [(&'static str, usize, usize); N],
    hint: &'static str,
) -> Result<(), Error> {
    match limits.into_iter().find(|(_, found, limit)| found > limit) {
        None => Ok(()),
        Some((what, found, limit)) => {
            Err(Error::TooLarge { path: path.to_owned(), what, found: found as u128, limit, hint })
        }
    }
}
