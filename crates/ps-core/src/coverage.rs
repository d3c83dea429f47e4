//! What of a tensor one step changes.

use std::sync::Arc;

/// What a step changes of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Nothing: it has no gradient, and the optimizer does not touch it.
    Absent,
    /// Every element.
    Whole,
    /// Some rows of a table, by their numbers, rising; the others are not touched.
    Rows(Arc<[u32]>),
}
