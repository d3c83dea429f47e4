//! The cluster under test: in simulation, and as real processes.

pub mod bench;
pub mod digits;
pub mod draws;
pub mod loopback;
pub mod process;
pub mod sim;
