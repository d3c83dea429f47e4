//! The house: which crate may use which, that no files import each other in a loop, and how large a
//! file may be. How long a function may be, clippy checks.

#![allow(clippy::unwrap_used)] // A test fails by panicking, its helpers too.

mod edges;
mod files;
mod imports;
mod loops;
mod modules;
