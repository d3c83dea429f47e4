//! Cluster harness, simulation, chaos and end-to-end tests

pub mod process;
