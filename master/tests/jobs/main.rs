//! A master over loopback connections: whole jobs, and their checkpoints.

#![allow(clippy::unwrap_used)] // A test fails by panicking, its helpers too.

mod checkpoints;
mod common;
mod job;
