//! What is said of a learning rate that is not valid.

/// Why a learning rate or its schedule is not valid.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
pub enum Error {
    /// No schedule has this name.
    #[error("schedule `{0}` is not known; choose one of constant, step, cosine")]
    UnknownName(String),
    /// A number was given that the schedule does not use.
    #[error("schedule `{schedule}` takes no `{number}`; leave it out or choose another schedule")]
    NotTaken {
        /// The schedule's name.
        schedule: &'static str,
        /// The number's name.
        number: &'static str,
    },
    /// A number is outside its range.
    #[error("learning rate: {number} is {found}; it must be {expected}")]
    OutOfRange {
        /// The number's name.
        number: &'static str,
        /// The value given.
        found: f64,
        /// The range in words.
        expected: &'static str,
    },
}

/// An error unless the number is in its range.
pub(super) fn require(
    valid: bool,
    number: &'static str,
    found: f64,
    expected: &'static str,
) -> Result<(), Error> {
    if valid { Ok(()) } else { Err(Error::OutOfRange { number, found, expected }) }
}
