//! Arithmetic on slices: what servers do to weights, and how values are written on the wire.
//!
//! Every kernel gives the same bits on every processor; the widest vector unit found at run time
//! changes the speed and nothing else.

pub mod encoding;
pub mod optimizer;
