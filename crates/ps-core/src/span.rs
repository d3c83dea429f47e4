//! Which elements of a chunk a push covers.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A run of elements within one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// First element, counted from the start of the chunk.
    pub start: u32,
    /// Number of elements; zero is allowed and covers nothing.
    pub len: u32,
}

/// Why a list of spans does not describe part of a chunk.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Error {
    /// A span begins before the one listed ahead of it has ended.
    #[error(
        "spans: number {position} starts at element {start}, before the previous one's end {end}; \
         send spans in rising order without overlap"
    )]
    Unordered { position: usize, start: u32, end: u64 },
    /// A span reaches past the last element of the chunk.
    #[error(
        "spans: number {position} ends at element {end} of a chunk of {elements}; \
         refresh the shard map and cut the push again"
    )]
    OutOfRange { position: usize, end: u64, elements: usize },
}

impl Span {
    /// A span of `len` elements from `start` on.
    pub fn new(start: u32, len: u32) -> Self {
        Self { start, len }
    }

    /// One past the last element; wider than the fields, so that no input overflows it.
    pub fn end(self) -> u64 {
        u64::from(self.start) + u64::from(self.len)
    }

    /// The elements as a range of indices, for a span that [`check`] has accepted.
    pub fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }
}

/// Checks that spans rise, do not overlap and lie within a chunk; returns how many elements they
/// cover.
///
/// # Errors
/// The first span that is out of order or out of range.
pub fn check(spans: &[Span], elements: usize) -> Result<usize, Error> {
    let mut covered = 0_usize;
    let mut previous_end = 0_u64;
    for (position, &span) in spans.iter().enumerate() {
        if u64::from(span.start) < previous_end {
            return Err(Error::Unordered { position, start: span.start, end: previous_end });
        }
        previous_end = span.end();
        if previous_end > elements as u64 {
            return Err(Error::OutOfRange { position, end: previous_end, elements });
        }
        covered += span.len as usize;
    }
    Ok(covered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rising_spans_are_counted() {
        assert_eq!(check(&[], 5), Ok(0));
        assert_eq!(check(&[Span::new(0, 2), Span::new(2, 0), Span::new(4, 1)], 5), Ok(3));
    }

    #[test]
    fn overlap_disorder_and_excess_are_named() {
        let overlapping = [Span::new(0, 3), Span::new(2, 1)];
        assert_eq!(check(&overlapping, 5), Err(Error::Unordered { position: 1, start: 2, end: 3 }));
        let backwards = [Span::new(3, 1), Span::new(0, 1)];
        assert!(matches!(check(&backwards, 5), Err(Error::Unordered { position: 1, .. })));
        let long = [Span::new(u32::MAX, u32::MAX)];
        assert!(matches!(check(&long, 5), Err(Error::OutOfRange { position: 0, .. })));
    }
}
