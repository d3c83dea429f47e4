//! The options that every job has.

use crate::workers_per_instance::WorkersPerInstanceArgs;
use clap::Args;
use ps_cli::TrainingArgs;
use ps_cli::process::ProcessArgs;
use ps_master::checkpoint_args::CheckpointEveryArgs;
use ps_master::config::JobTimeoutArgs;
use ps_server::config::{DurabilityArgs, ServerLimitArgs};
use ps_worker::config::{CallTimeoutArgs, ModelArgs};

/// What every job has, wherever its processes run: they read it from a file that `psrun` writes.
#[derive(Args, Clone, Debug)]
#[allow(missing_docs)]
pub struct JobArgs {
    #[command(flatten)]
    pub workers: WorkersPerInstanceArgs,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub training: TrainingArgs,
    #[command(flatten)]
    pub timeouts: JobTimeoutArgs,
    #[command(flatten)]
    pub checkpoint_every: CheckpointEveryArgs,
    #[command(flatten)]
    pub calls: CallTimeoutArgs,
    #[command(flatten)]
    pub durability: DurabilityArgs,
    #[command(flatten)]
    pub server: ServerLimitArgs,
    #[command(flatten)]
    pub process: ProcessArgs,
}
