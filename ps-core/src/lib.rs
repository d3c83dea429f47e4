//! The parameter server's logic: pure and synchronous.
//!
//! Nothing here opens a socket or a file, reads a clock, spawns a task or draws from global
//! randomness: time, seeds and bytes come in as arguments, so every rule can be tested alone.

pub mod layout;
pub mod permutation;

pub use layout::{Layout, TensorKind, TensorSpec};
pub use permutation::permutation;
