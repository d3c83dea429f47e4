//! Models at work: what they compute, hand over and begin with.

#![allow(clippy::unwrap_used)] // A test fails by panicking, its helpers too.

mod common;
mod flat_vars;
mod frozen;
#[cfg(feature = "cuda")]
mod gpu;
mod handover;
mod model;
mod own;
mod seeded_start;
