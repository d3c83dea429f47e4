//! What goes into the machine and what comes out of it.

mod actions;
mod columns;
mod data_mismatch;
mod members;
mod program;
mod rejection;
mod tasks;

pub use actions::*;
pub use columns::*;
pub use data_mismatch::*;
pub use members::*;
pub use program::*;
pub use rejection::*;
pub use tasks::*;

use super::checkpoints::CheckpointEvery;
use crate::settings::TrainingSettings;
use crate::stop::StopTimes;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the machine is told at its start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Servers that the model is cut over.
    pub servers: u32,
    /// Workers that may join; the job starts with the first.
    pub workers: u32,
    /// How to train.
    pub settings: TrainingSettings,
    /// How long a member may be silent. A server that is silent for longer is away, and waited for.
    pub lease: Duration,
    /// How long a server may be silent before its weights count as lost.
    pub server_away: Duration,
    /// How long a worker may hold samples without finishing a step, unless it waits for others.
    pub step_timeout: Duration,
    /// How long servers and the first worker may take to register.
    pub start_timeout: Duration,
    /// How long the end waits for workers in the middle of a lease.
    pub barrier_timeout: Duration,
    /// How long the final evaluation may take.
    pub evaluation_timeout: Duration,
    /// What of the time after a signal is for what.
    pub stop_times: StopTimes,
    /// Whether checkpoints are written.
    pub checkpoints: bool,
    /// Whether what lasts is written down, so that another process can go on.
    pub keeps_state: bool,
    /// How often, if they are.
    pub checkpoint_every: CheckpointEvery,
}
