//! Why a master fails.

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
    /// The listener broke.
    #[error("serving on {address}: {error}")]
    Serve { address: String, error: tonic::transport::Error },
    /// The listener ended while the job was going on.
    #[error("serving on {address}: the listener was closed before the job was done")]
    Closed { address: String },
}
