//! Scenarios of a job, and random ones.

mod ending;
mod harness;
mod joining;
mod random;
mod training;
