//! Models at work: what they compute, hand over and begin with.

#![allow(clippy::unwrap_used)] // A test fails by panicking, its helpers too.

#[path = "../common/mod.rs"]
mod common;
mod flat_vars;
mod frozen;
mod handover;
mod model;
mod own;
mod seeded_start;
