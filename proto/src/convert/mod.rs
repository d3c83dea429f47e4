//! Wire to domain and back: the only place that checks what arrives.

pub mod checkpoint;
pub mod columns;
pub mod control;
pub mod data;
pub mod description;
mod evaluation;
pub mod init;
pub mod membership;
pub mod model;
pub mod program;
pub mod refusal;
pub mod settings;
pub mod shard_map;
pub mod words;

use crate::PROTOCOL;
use ps_core::limits::COUNT_MAX;
use std::fmt::Display;
use std::ops::RangeInclusive;
use tonic::Status;

/// Something on the wire that is not what the protocol says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    /// A field that must be there is not.
    #[error("{message}: field `{field}` is missing")]
    Missing { message: &'static str, field: &'static str },
    /// A field holds what it may not.
    #[error("{message}: field `{field}`: found {found}, expected {expected}")]
    Invalid { message: &'static str, field: &'static str, found: String, expected: String },
    /// The other side is of another version.
    #[error(
        "{message}: the sender speaks protocol {found}, this process protocol {PROTOCOL}: run the same \
         version everywhere (psrun --version)"
    )]
    Protocol { message: &'static str, found: u32 },
}

impl Error {
    /// A field that holds what it may not.
    pub fn invalid(
        message: &'static str,
        field: &'static str,
        found: impl ToString,
        expected: impl ToString,
    ) -> Self {
        Self::Invalid { message, field, found: found.to_string(), expected: expected.to_string() }
    }

    /// Checks that a number is one of these.
    fn check<N: PartialOrd + Display>(
        message: &'static str,
        field: &'static str,
        found: N,
        range: RangeInclusive<N>,
    ) -> Result<(), Self> {
        if range.contains(&found) {
            return Ok(());
        }
        let expected = format!("{} to {}", range.start(), range.end());
        Err(Self::invalid(message, field, found, expected))
    }
}

/// Checks that the sender means the same by the same bytes.
///
/// # Errors
/// It speaks another version of the protocol.
pub fn check_protocol(message: &'static str, found: u32) -> Result<(), Error> {
    if found == PROTOCOL { Ok(()) } else { Err(Error::Protocol { message, found }) }
}

/// Checks numbers that only grow (epochs, incarnations, clocks, numbers of pushes): one that is absurdly
/// high would be remembered, and leave no room above it.
fn check_counts<const N: usize>(
    message: &'static str,
    counts: [(&'static str, u64); N],
) -> Result<(), Error> {
    counts
        .into_iter()
        .try_for_each(|(field, found)| Error::check(message, field, found, 0..=COUNT_MAX))
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::Protocol { .. } => {
                refusal::status(refusal::Reason::OtherProtocol, 0, 0, error.to_string())
            }
            Error::Missing { .. } | Error::Invalid { .. } => {
                Status::invalid_argument(error.to_string())
            }
        }
    }
}
