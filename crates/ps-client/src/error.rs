//! Why the servers cannot be worked with.

use ps_proto::convert::refusal::{self, Reason};
use tonic::{Code, Status};

/// Why a call to the servers failed for good.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    /// The address is malformed.
    #[error(transparent)]
    Address(#[from] ps_runtime::transport::BadAddress),
    /// Another process took this worker's place, or its lease expired.
    #[error("server {shard} at {address}: this worker was superseded: {message}")]
    Superseded { shard: u32, address: String, message: String },
    /// What was asked does not fit what the server has, however often it is asked.
    #[error("server {shard} at {address}: {message}")]
    Refused { shard: u32, address: String, message: String },
    /// The server does not answer, or refuses.
    #[error("server {shard} at {address}: {message}")]
    Server { shard: u32, address: String, message: String },
}

impl Error {
    pub(crate) fn of(shard: u32, address: &str, status: &Status) -> Self {
        let (address, message) = (address.to_owned(), status.message().to_owned());
        match refusal::from_status(status).map(|refusal| refusal.reason()) {
            Some(Reason::StaleIncarnation | Reason::StalePush) => {
                Self::Superseded { shard, address, message }
            }
            Some(Reason::OtherModel | Reason::OtherJob | Reason::OtherProtocol) => {
                Self::Refused { shard, address, message }
            }
            None if is_lasting(status.code()) => Self::Refused { shard, address, message },
            _ => Self::Server { shard, address, message },
        }
    }
}

/// Whether asking again cannot help.
fn is_lasting(code: Code) -> bool {
    matches!(code, Code::InvalidArgument | Code::FailedPrecondition | Code::AlreadyExists)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by breakers: who was told that the servers hold another model waited for two leases before it said so.
    #[test]
    fn regression_another_model_is_no_servers_trouble() {
        for reason in [Reason::OtherModel, Reason::OtherJob, Reason::OtherProtocol] {
            let error = Error::of(0, "here:1", &refusal::status(reason, 0, 0, "other"));
            assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        }
        let away = Error::of(0, "here:1", &Status::unavailable("away"));
        assert!(matches!(away, Error::Server { .. }));
    }
}
