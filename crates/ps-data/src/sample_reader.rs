//! Samples one after another, in formats where each can be understood without having seen the others.

use std::path::Path;

use crate::{Error, Inputs, Label};

/// What a reader came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    /// A sample with this label, whose inputs were appended.
    Sample(Label),
    /// A sample that was not wanted; nothing was appended.
    Skipped,
    /// There are no more.
    End,
}

/// Reads one file or stream.
pub(crate) trait SampleReader: Send {
    /// The next sample; one that is not wanted is passed over with as little work as possible.
    fn next(&mut self, wanted: bool, inputs: &mut Inputs) -> Result<Next, Error>;

    /// Shape of the last sample.
    fn shape(&self) -> &[usize];

    /// The file or stream of the last sample, and its number there, from 1.
    fn position(&self) -> (&Path, u64);
}
