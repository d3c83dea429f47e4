//! Whole jobs and single calls in simulated time: everything goes on at once here, without processes.

#![allow(clippy::unwrap_used)] // A test fails by panicking, its helpers too.

mod durable;
mod endings;
mod exactly_once;
mod fail_points;
mod going_back_alone;
mod going_on;
mod idle;
mod lives;
mod moving;
mod slow_links;
mod sources;
mod staleness;
