//! Scenarios of a job, and random ones.

mod away;
mod checkpoints;
mod divergence;
mod ending;
mod harness;
mod joining;
mod measuring;
mod random;
mod selection;
mod sources;
mod training;
