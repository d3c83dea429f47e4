//! The shard's journal on a disk: what is acknowledged is there first, and a server that is started again in the same
//! folder goes on with it (docs/adr/0037-journal.md).
//!
//! - `waiting`: records that are to be written, and who waits until they are.
//! - `writer`: the task that writes them, batch after batch, segment after segment.
//! - `whole`: the shard is written whole now and then, and what came before goes.
//! - `stored`: a journal in a folder, as it is read; `recovery`: from there to the shard that it holds.

mod recovery;
mod stored;
mod waiting;
mod whole;
mod writer;

pub use stored::{ReadFrom, ReadJournal, StoredJournal};
pub(crate) use waiting::Waiting;
pub(crate) use whole::JournalFiles;
pub use writer::WriterSettings;

use futures_util::future::BoxFuture;
use ps_core::journal::{BaseError, SegmentError};
use ps_core::shard::Shard;
use ps_core::shard::{CopyError, ReplayError};
use ps_core::{checkpoint, journal};
use ps_runtime::blocking;
use ps_runtime::files::Files;
use recovery::{Recovered, recover};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Why a journal cannot be written, or read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum JournalError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Base(#[from] BaseError),
    #[error(transparent)]
    File(#[from] checkpoint::FileError),
    #[error(transparent)]
    Assembly(#[from] checkpoint::AssemblyError),
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// `at`: the byte at which its batch begins.
    #[error("{name}, byte {at}: {error}")]
    Record { name: String, at: u64, error: journal::RecordError },
    #[error("{name}, byte {at}: {error}")]
    Replay { name: String, at: u64, error: ReplayError },
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// Another job's, or another shard's.
    #[error(
        "it belongs to {found}, this server is {expected}: choose another folder with --journal, or remove it"
    )]
    Other { found: String, expected: String },
    /// Its job is over, and it was kept.
    #[error(
        "it is the journal of job `{job}`, which has ended and kept it (--keep-journal), for `psrun replay`: choose another \
         folder with --journal, or remove it"
    )]
    Ended { job: String },
    /// A file of it is gone.
    #[error("{missing} is missing: {why}")]
    Missing { missing: String, why: String },
}

/// Writes a journal until it fails.
pub(crate) type Writing = BoxFuture<'static, JournalError>;

/// A journal that is open, and what its folder held.
pub(crate) struct OpenJournal {
    pub(crate) files: Arc<JournalFiles>,
    /// Writes it, until it fails.
    pub(crate) writing: Writing,
}

/// Makes the shard, to which nothing happened yet, what its folder holds, and goes on writing there.
///
/// # Errors
/// What is there is another's or was changed.
pub(crate) fn open(
    (job, salt): (&str, u64),
    files: Files,
    (shard, waiting): (&Shard, Arc<Waiting>),
    settings: WriterSettings,
    now: Duration,
) -> Result<OpenJournal, JournalError> {
    let Recovered { next, is_based, replayed_bytes } =
        blocking(|| recover((&files, job), shard, now))?;
    let (location, index) = (files.location(), shard.index());
    if is_based {
        tracing::info!(
            "shard {index} goes on from its journal in {location}: {:.1} MiB of records replayed",
            replayed_bytes as f64 / (1 << 20) as f64
        );
    } else {
        tracing::info!("shard {index} keeps its journal in {location}");
    }
    let replayed = is_based.then_some(replayed_bytes);
    let (files, writing) =
        JournalFiles::begin(job, (index, salt), files, waiting, settings, next, replayed);
    Ok(OpenJournal { files, writing })
}
