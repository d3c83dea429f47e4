//! Why training fails.

use crate::compute::ComputeError;
use ps_runtime::member;

/// Why a worker failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    /// The model or its data.
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// Frozen parameters, or groups.
    #[error(transparent)]
    Parameters(#[from] ps_core::parameters::Error),
    /// The servers.
    #[error(transparent)]
    Client(#[from] ps_client::Error),
    /// The master.
    #[error(transparent)]
    Member(#[from] member::Error),
    /// The master's words.
    #[error("the job failed: {0}")]
    JobFailed(String),
    /// The loss says that training goes wrong.
    #[error("{0}")]
    Diverged(String),
    /// The master sent what this version does not know.
    #[error("from the master: {0}")]
    Settings(#[from] ps_proto::convert::Error),
    /// Samples that another process has cannot be read.
    #[error("the samples at {address} cannot be read: {message}")]
    Unserved { address: String, message: String },
    /// The own samples cannot be served to others.
    #[error("serving samples: {0}")]
    Serve(String),
    /// The user's program failed with this exit code.
    #[error("the program ended with exit code {0}")]
    Program(u8),
}
