//! Why a master fails.

const NO_STATE: &str = "its disk was full, or the job was over";

/// Why a master failed.
#[allow(missing_docs)]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The job cannot be done; every member was told.
    #[error("the job failed: {0}")]
    JobFailed(String),
    /// The job is done and the model is written, the report is not.
    #[error("the report could not be written: {0}")]
    Report(std::io::Error),
    /// The folder for checkpoints cannot be read.
    #[error("looking for checkpoints: {0}; choose another folder with --checkpoints")]
    Checkpoints(std::io::Error),
    /// The folder of the state cannot be read.
    #[error("looking for the state of a master that died: {0}")]
    StateFile(std::io::Error),
    /// Who is started in place of a master that died finds nothing of it.
    #[error(
        "{location}: the master before this one has left no {file}, so that nobody can go on with the job: {}",
        NO_STATE
    )]
    NoState { location: String, file: &'static str },
    /// A master before this one has left a state that this one cannot go on with.
    #[error(
        "{location}: {error}; give the same command as before, or remove it, and the journals of the job's servers, to begin anew"
    )]
    State { location: String, error: ps_core::master::SavedError },
    /// The listener broke.
    #[error("serving on {address}: {error}")]
    Serve { address: String, error: tonic::transport::Error },
    /// The listener ended while the job was going on.
    #[error("serving on {address}: the listener was closed before the job was done")]
    Closed { address: String },
}
