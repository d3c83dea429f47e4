//! Scenarios of a job, and random ones.

mod away;
mod checkpoints;
mod columns;
mod divergence;
mod ending;
mod harness;
mod joining;
mod measuring;
mod random;
mod selection;
mod sources;
mod training;
