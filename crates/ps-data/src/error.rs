//! What can be wrong with data, each said with the file, what was expected and what to do.

use std::path::{Path, PathBuf};

/// Why data could not be loaded.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    /// The directory holds no data that is known.
    #[error(
        "no data in {}: looked for {looked_for}; {found}; {hint}",
        dir.display()
    )]
    NotFound {
        dir: PathBuf,
        /// The sets of files that would have been data.
        looked_for: String,
        found: String,
        hint: &'static str,
    },
    /// There is nothing at all.
    #[error(
        "{option} {}: {}",
        path.display(),
        if *is_there { "neither a file nor a folder; expected one of them" } else { "there is no such file or folder" }
    )]
    Missing { path: PathBuf, option: &'static str, is_there: bool },
    /// Nobody can say which of the files are data, or of which set.
    #[error("{}: {problem}; {hint}", dir.display())]
    Unclear { dir: PathBuf, problem: String, hint: &'static str },
    /// The file could not be opened or read.
    #[error("reading data from {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// The compressed stream is damaged or cut off.
    #[error(
        "{}: damaged gzip data after {bytes} uncompressed bytes: {source}; was it copied in full? \
         copy it again or check it with `gzip -t`",
        path.display()
    )]
    Gzip {
        path: PathBuf,
        /// Uncompressed bytes that came out before the damage.
        bytes: usize,
        source: std::io::Error,
    },
    /// The first four bytes are not those of the expected kind of IDX file.
    #[error(
        "{}: magic {found:#010x}, expected {expected:#010x} (a file of {content}); {hint}",
        path.display()
    )]
    Magic { path: PathBuf, found: u32, expected: u32, content: &'static str, hint: String },
    /// The file is shorter or longer than its header says.
    #[error("{}: {found}, expected {expected}; {hint}", path.display())]
    Length { path: PathBuf, found: String, expected: String, hint: &'static str },
    /// Two files that belong together do not fit.
    #[error("{}: {found}, but {} {expected}; {hint}", path.display(), other.display())]
    Mismatch { path: PathBuf, found: String, other: PathBuf, expected: String, hint: &'static str },
    /// More than a limit allows.
    #[error("{}: {what} is {found}, the limit is {limit}; {hint}", path.display())]
    TooLarge { path: PathBuf, what: &'static str, found: u128, limit: usize, hint: &'static str },
    /// A CSV value, with its place.
    #[error("{}, line {line}, {column}: {problem}", path.display())]
    Value { path: PathBuf, line: u64, column: String, problem: String },
    /// A line of a text, from 1.
    #[error("{}, line {line}: {problem}", path.display())]
    Line { path: PathBuf, line: u64, problem: String },
    /// A file as a whole.
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    /// A record of a container, with its place.
    #[error("{}, record {record}: {problem}", path.display())]
    Record { path: PathBuf, record: u64, problem: String },
    /// A stream as a whole.
    #[error("stream {}: {problem}", path.display())]
    Stream { path: PathBuf, problem: String },
    /// Options that contradict the data or each other.
    #[error("{0}")]
    Options(String),
    /// A sample number beyond the set.
    #[error("sample {sample} of {samples} was asked for; do all processes read the same data?")]
    NoSuchSample { sample: u64, samples: usize },
}

/// Checks limits: of each what is limited, how much of it there is, and the most that there may be.
///
/// # Errors
/// The first that is exceeded.
pub(crate) fn check_limits<const N: usize>(
    path: &Path,
    limits: [(&'static str, u128, usize); N],
    hint: &'static str,
) -> Result<(), Error> {
    match limits.into_iter().find(|(_, found, limit)| *found > *limit as u128) {
        None => Ok(()),
        Some((what, found, limit)) => {
            Err(Error::TooLarge { path: path.to_owned(), what, found, limit, hint })
        }
    }
}
