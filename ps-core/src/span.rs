//! A run of elements within a chunk.

/// Elements `start..start + len` of a chunk that a payload covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First element, counted from the chunk's start.
    pub start: u32,
    /// Number of elements.
    pub len: u32,
}
