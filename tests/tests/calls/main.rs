//! What servers and masters answer, called over real sockets within this process.

#![allow(clippy::unwrap_used)] // A test fails by panicking, its helpers too.

mod checkpoints;
mod encodings;
mod fencing;
mod health;
mod optimizer;
mod runs;
mod transfers;
mod wire;
