//! Scenarios of a job, and random ones.

mod away;
mod checkpoints;
mod columns;
mod divergence;
mod ending;
mod going_back;
mod harness;
mod joining;
mod measuring;
mod program;
mod random;
mod selection;
mod sources;
mod training;
mod undone;
