//! A refusal that the caller can act on, carried in the details of a gRPC status.

use crate::v1;
use prost::Message;
use tonic::{Code, Status};

pub use v1::refusal::Reason;

/// Builds the status of a refused call.
pub fn status(
    reason: Reason,
    current_epoch: u64,
    current_incarnation: u64,
    message: impl Into<String>,
) -> Status {
    let detail = v1::Refusal { reason: reason.into(), current_epoch, current_incarnation };
    Status::with_details(code(reason), message, detail.encode_to_vec().into())
}

/// What a status says beside its message; `None` when it is not a refusal of ours.
pub fn from_status(status: &Status) -> Option<v1::Refusal> {
    if status.details().is_empty() {
        return None;
    }
    let refusal = v1::Refusal::decode(status.details()).ok()?;
    (refusal.reason() != Reason::Unspecified).then_some(refusal)
}

/// The gRPC code for callers that do not know our details.
fn code(reason: Reason) -> Code {
    match reason {
        Reason::UnknownIncarnation | Reason::NotInitialised | Reason::DiskFull => Code::Unavailable,
        Reason::Taken => Code::AlreadyExists,
        Reason::OtherModel | Reason::OtherShard => Code::InvalidArgument,
        Reason::OtherJob => Code::PermissionDenied,
        Reason::OtherProtocol => Code::Unimplemented,
        Reason::Unspecified
        | Reason::StaleEpoch
        | Reason::StaleIncarnation
        | Reason::StalePush
        | Reason::NotPrepared => Code::FailedPrecondition,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_survives_the_status() {
        let status = status(Reason::StaleEpoch, 7, 3, "epoch 6 is over");
        assert_eq!(status.code(), Code::FailedPrecondition);
        let refusal = from_status(&status).unwrap();
        assert_eq!((refusal.reason(), refusal.current_epoch), (Reason::StaleEpoch, 7));
        assert!(from_status(&Status::unavailable("gone")).is_none());
    }
}
