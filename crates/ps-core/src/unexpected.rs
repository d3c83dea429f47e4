//! Something that is not what it may be.

/// What was found where something else was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: found {found}, expected {expected}")]
pub struct Unexpected {
    /// What does not fit.
    pub what: &'static str,
    /// What it is.
    pub found: String,
    /// What it may be.
    pub expected: String,
}

impl Unexpected {
    /// Says what was found.
    pub fn new(what: &'static str, found: impl ToString, expected: impl ToString) -> Self {
        Self { what, found: found.to_string(), expected: expected.to_string() }
    }

    /// Says what was found, unless it fits.
    ///
    /// # Errors
    /// It does not.
    pub fn unless(
        fits: bool,
        what: &'static str,
        found: impl ToString,
        expected: impl ToString,
    ) -> Result<(), Self> {
        if fits { Ok(()) } else { Err(Self::new(what, found, expected)) }
    }
}
