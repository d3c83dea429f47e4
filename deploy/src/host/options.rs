//! The options of `psrun train`. In a SageMaker job each is a hyperparameter of the same name.

use clap::Args;
use ps_cli::TrainingArgs;
use ps_cli::process::ProcessArgs;
use ps_worker::config::ModelArgs;
use std::path::PathBuf;

/// The part of one host in a job that a launcher has started on several.
#[derive(Args, Clone, Debug)]
pub struct TrainArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub host: HostArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub training: TrainingArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub times: TimeArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub process: ProcessArgs,
}

/// Where what runs.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Hosts")]
pub struct HostArgs {
    /// Run a worker on the master's host, too.
    #[arg(long, env = "PS_MASTER_TRAINS")]
    pub master_trains: bool,
    /// Instance groups whose hosts have servers; the first of them is the master's [default: all].
    #[arg(long, env = "PS_SERVER_GROUPS", value_name = "NAMES", value_delimiter = ',')]
    pub server_groups: Vec<String>,
    /// Instance groups whose hosts have workers [default: all].
    #[arg(long, env = "PS_WORKER_GROUPS", value_name = "NAMES", value_delimiter = ',')]
    pub worker_groups: Vec<String>,
    /// Where the master listens on its host.
    #[arg(long, env = "PS_MASTER_PORT", default_value_t = 2222, value_name = "PORT")]
    pub master_port: u16,
    /// Where servers listen; any free port where it is taken.
    #[arg(long, env = "PS_SERVER_PORT", default_value_t = 2223, value_name = "PORT")]
    pub server_port: u16,
    /// Seconds that the other hosts' names may take to resolve, and then the master to answer.
    #[arg(long, env = "PS_RESOLVE_TIMEOUT_S", default_value_t = 900, value_name = "S")]
    pub resolve_timeout_s: u64,
    /// Folder for the model and the report [default: the launcher's].
    #[arg(long, env = "PS_OUT", value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Folder for checkpoints [default: the launcher's].
    #[arg(long, env = "PS_CHECKPOINTS", value_name = "DIR")]
    pub checkpoints: Option<PathBuf>,
    /// Address of this host to listen on, for several hosts on one machine.
    #[arg(long, env = "PS_LISTEN_HOST", hide = true, default_value = "0.0.0.0")]
    pub listen_host: String,
    /// Print what was understood and what would be started, and start nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Limits of time, passed on to the roles that know them.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Limits of time")]
pub struct TimeArgs {
    /// Milliseconds that a member may be silent before its work is given to others.
    #[arg(long, env = "PS_LEASE_MS", value_name = "MS")]
    pub lease_ms: Option<u64>,
    /// Seconds that a worker may take for one step before it counts as stuck.
    #[arg(long, env = "PS_STEP_TIMEOUT_S", value_name = "S")]
    pub step_timeout_s: Option<u64>,
    /// Seconds that the servers and the first worker may take to come.
    #[arg(long, env = "PS_START_TIMEOUT_S", value_name = "S")]
    pub start_timeout_s: Option<u64>,
    /// Seconds that the end waits for workers that are in the middle of their samples.
    #[arg(long, env = "PS_BARRIER_TIMEOUT_S", value_name = "S")]
    pub barrier_timeout_s: Option<u64>,
    /// Seconds that the evaluation of the written model may take.
    #[arg(long, env = "PS_EVALUATION_TIMEOUT_S", value_name = "S")]
    pub evaluation_timeout_s: Option<u64>,
    /// Milliseconds after which a call to a server is tried again on a fresh connection.
    #[arg(long, env = "PS_ATTEMPT_MS", value_name = "MS")]
    pub attempt_ms: Option<u64>,
    /// Milliseconds that a server may be away before a worker gives up.
    #[arg(long, env = "PS_PATIENCE_MS", value_name = "MS")]
    pub patience_ms: Option<u64>,
}

impl TimeArgs {
    /// Those that the master knows, by name.
    pub fn masters(&self) -> Vec<(&'static str, u64)> {
        given([
            ("lease-ms", self.lease_ms),
            ("step-timeout-s", self.step_timeout_s),
            ("start-timeout-s", self.start_timeout_s),
            ("barrier-timeout-s", self.barrier_timeout_s),
            ("evaluation-timeout-s", self.evaluation_timeout_s),
        ])
    }

    /// Those that a worker with a master knows, by name.
    pub fn workers(&self) -> Vec<(&'static str, u64)> {
        given([("attempt-ms", self.attempt_ms), ("patience-ms", self.patience_ms)])
    }
}

fn given<const N: usize>(options: [(&'static str, Option<u64>); N]) -> Vec<(&'static str, u64)> {
    options.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}
