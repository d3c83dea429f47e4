//! Wire to domain and back: the only place that checks what arrives.

pub mod checkpoint;
pub mod control;
pub mod data;
pub mod description;
pub mod init;
pub mod membership;
pub mod model;
pub mod refusal;
pub mod settings;

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

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Status::invalid_argument(error.to_string())
    }
}
