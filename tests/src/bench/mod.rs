//! What the benchmarks share: processes of their own, what those used, and figures.

pub mod peer;
pub mod report;
pub mod usage;
