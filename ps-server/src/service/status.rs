//! What the shard says, as gRPC statuses that callers can act on.

use ps_core::shard::{Error, OtherModel};
use ps_core::{fence, window};
use ps_proto::convert::refusal::{self, Reason};
use tonic::Status;

pub(super) fn fenced(error: &fence::Error, epoch: u64) -> Status {
    let (reason, incarnation) = match *error {
        fence::Error::StaleEpoch { .. } => (Reason::StaleEpoch, 0),
        fence::Error::StaleIncarnation { current, .. } => (Reason::StaleIncarnation, current),
        fence::Error::NotYetKnown { .. } => (Reason::UnknownIncarnation, 0),
    };
    refusal::status(reason, epoch, incarnation, error.to_string())
}

pub(super) fn push(error: &Error, epoch: u64) -> Status {
    match error {
        Error::Fenced(error) => fenced(error, epoch),
        Error::Window(error @ window::Error::Stale { .. }) => {
            refusal::status(Reason::StalePush, epoch, 0, error.to_string())
        }
        Error::Window(error @ window::Error::Full { .. }) => {
            Status::resource_exhausted(error.to_string())
        }
        // Whoever has the shard waits for it.
        Error::CutIsPrepared { .. } => Status::unavailable(error.to_string()),
        Error::NotInitialised(_) => {
            refusal::status(Reason::NotInitialised, epoch, 0, error.to_string())
        }
        // Lost on the way: the retry completes it.
        Error::Incomplete { .. } => Status::aborted(error.to_string()),
        Error::Window(window::Error::Changed { .. })
        | Error::NoSuchChunk { .. }
        | Error::TooManyChunks { .. }
        | Error::Kind { .. }
        | Error::Run { .. }
        | Error::Malformed { .. }
        | Error::Encoded { .. } => Status::invalid_argument(error.to_string()),
    }
}

pub(super) fn other_model(error: &OtherModel, epoch: u64) -> Status {
    refusal::status(Reason::OtherModel, epoch, 0, error.to_string())
}
