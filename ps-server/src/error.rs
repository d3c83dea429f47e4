//! Why a server fails.

use crate::journal::JournalError;
use ps_runtime::member;

/// Why a server failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    /// The master is lost, or refused.
    #[error("shard {shard}: {error}")]
    Master { shard: u32, error: member::Error },
    /// The master says that the job failed.
    #[error("shard {shard}: the job failed: {reason}")]
    JobFailed { shard: u32, reason: String, goes_on: bool },
    /// What the calls are cannot be told.
    #[error("the descriptors of this program's own calls: {0}")]
    Reflection(tonic_reflection::server::Error),
    /// Its journal cannot be read or written any more.
    #[error("shard {shard}: the journal in {location}: {error}")]
    Journal { shard: u32, location: String, error: JournalError },
    /// The listener broke.
    #[error("shard {shard}: serving on {address}: {error}")]
    Serve { shard: u32, address: String, error: std::io::Error },
}
