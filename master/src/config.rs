//! The options of a master.

use crate::checkpoint_args::CheckpointEveryArgs;
use clap::Parser;
use ps_cli::process::ProcessArgs;
use ps_cli::{LossArgs, ShapeArgs, TrainingArgs};
use ps_core::limits::{SHARDS_MAX, WORKERS_MAX};
use ps_core::master::CheckpointEvery;
use ps_core::model_config::About;
use ps_core::settings::TrainingSettings;
use ps_core::stop::StopTimes;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "Examples:
  ps-master --servers 1 --workers 2 --out out                 # everybody on this machine
  ps-master --listen 0.0.0.0:2222 --servers 3 --workers 2 --out out --passes 10 --optimizer adam

It waits for the servers and the first worker, hands out the samples, has the model evaluated after
each pass, and writes OUT/model.safetensors, OUT/config.json and OUT/report.json. Standard output carries metric
lines, `name=value;` pairs; logs go to standard error. Exit codes: 0 done, 1 failed, 64 bad usage,
130 Ctrl-C, 143 SIGTERM; after a signal the model so far is written.";

/// Coordinate a job: who is in it, who trains on what, when it ends.
#[derive(Parser, Clone, Debug)]
#[command(name = "ps-master", version, after_help = EXAMPLES)]
pub struct Args {
    /// Where to listen; port 0 takes any free one. Other machines reach it only when it says so.
    #[arg(long, env = "PS_LISTEN", default_value = "127.0.0.1:2222", value_name = "ADDR")]
    pub listen: String,
    /// Servers that the model is cut over.
    #[arg(long, env = "PS_SERVERS", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(SHARDS_MAX)))]
    pub servers: u32,
    /// Workers that may join; the job starts with the first of them, or, when each has data of its
    /// own (--sharded, --pipe, a program), when all are there, with --sharded the evaluator, too.
    #[arg(long, env = "PS_WORKERS", value_name = "M",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(WORKERS_MAX)))]
    pub workers: u32,
    /// Where the model and the report are written; created if need be.
    #[arg(long, env = "PS_OUT", value_name = "DIR")]
    pub out: PathBuf,
    /// Folder for checkpoints: one is written after each pass, unless others are wanted, and at the end, and the same job
    /// started again goes on from the newest complete one. The servers need --checkpoints, too.
    #[arg(long, env = "PS_CHECKPOINTS", value_name = "DIR")]
    pub checkpoints: Option<PathBuf>,
    /// Folder for the master's state, of its own: a master that died and is started again with the same command goes on
    /// from there with the same members. Of use where the servers outlive their processes, too (ps-server --durability wal).
    #[arg(long, env = "PS_STATE", value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Go on from the state, or fail where there is none: for whoever starts a master again that died.
    #[arg(long, requires = "state")]
    pub go_on: bool,
    /// The model's name, for OUT/config.json, as the master runs no model code [default: what workers and
    /// evaluator say].
    #[arg(long, env = "PS_MODEL", value_name = "NAME")]
    pub model: Option<String>,
    /// How the data are written, for OUT/config.json.
    #[arg(long, env = "PS_FORMAT", value_name = "FORMAT")]
    pub format: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub checkpoint_every: CheckpointEveryArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub shape: ShapeArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub loss: LossArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub timeouts: JobTimeoutArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub training: TrainingArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub process: ProcessArgs,
}

/// How long the master waits for what.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Limits of time")]
pub struct JobTimeoutArgs {
    /// Milliseconds that a member may be silent before its work is given to others; a server counts as
    /// away from then on.
    #[arg(long, env = "PS_LEASE_MS", default_value_t = DEFAULTS.lease_ms, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(100..))]
    pub lease_ms: u64,
    /// Seconds that a server may be silent before the job fails: what is pushed to it waits until it is
    /// back. No less than the lease.
    #[arg(long, env = "PS_SERVER_AWAY_S", default_value_t = DEFAULTS.server_away_s, value_name = "S")]
    pub server_away_s: u64,
    /// Seconds that a worker may take for one step before it counts as stuck.
    #[arg(long, env = "PS_STEP_TIMEOUT_S", default_value_t = DEFAULTS.step_timeout_s,
          value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    pub step_timeout_s: u64,
    /// Seconds that the servers and the first worker may take to come; workers with data of their
    /// own that are missing then are left out.
    #[arg(long, env = "PS_START_TIMEOUT_S", default_value_t = DEFAULTS.start_timeout_s, value_name = "S")]
    pub start_timeout_s: u64,
    /// Seconds that the end waits for workers that are in the middle of their samples.
    #[arg(long, env = "PS_BARRIER_TIMEOUT_S", default_value_t = DEFAULTS.barrier_timeout_s, value_name = "S")]
    pub barrier_timeout_s: u64,
    /// Seconds that the evaluation of the written model may take.
    #[arg(long, env = "PS_EVALUATION_TIMEOUT_S", default_value_t = DEFAULTS.evaluation_timeout_s,
        value_name = "S")]
    pub evaluation_timeout_s: u64,
}

const DEFAULTS: JobTimeoutArgs = JobTimeoutArgs {
    lease_ms: 10_000,
    server_away_s: 30,
    step_timeout_s: 300,
    start_timeout_s: 300,
    barrier_timeout_s: 30,
    evaluation_timeout_s: 600,
};

impl JobTimeoutArgs {
    fn machine(
        &self,
        servers: u32,
        workers: u32,
        settings: TrainingSettings,
    ) -> ps_core::master::Config {
        ps_core::master::Config {
            servers,
            workers,
            settings,
            lease: Duration::from_millis(self.lease_ms),
            server_away: Duration::from_secs(self.server_away_s),
            step_timeout: Duration::from_secs(self.step_timeout_s),
            start_timeout: Duration::from_secs(self.start_timeout_s),
            barrier_timeout: Duration::from_secs(self.barrier_timeout_s),
            evaluation_timeout: Duration::from_secs(self.evaluation_timeout_s),
            stop_times: StopTimes::default(),
            checkpoints: false,
            keeps_state: false,
            checkpoint_every: CheckpointEvery::default(),
        }
    }
}

/// What a master is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The job it leads.
    pub job: String,
    /// What its state machine is told.
    pub machine: ps_core::master::Config,
    /// What it is told about the model, for the file beside it.
    pub about: About,
    /// Where people see how far the job is.
    pub display: ProgressDisplay,
    /// Whether it fails where a master before it has left nothing to go on from.
    pub go_on: bool,
    /// Whether the state of a job that has ended stays, for the parent to remove: a master that is killed while it leaves is
    /// started again, and has to find that it has led the job to its end.
    pub leaves_state: bool,
}

/// Where people see how far the job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProgressDisplay {
    /// In the log, a line now and then.
    #[default]
    Log,
    /// On standard error, a bar if that is a terminal.
    Terminal,
    /// Whoever started this process draws it, from lines on standard output.
    Parent,
}

impl Config {
    /// The defaults of the options for so many servers and workers.
    pub fn new(job: &str, servers: u32, workers: u32, settings: TrainingSettings) -> Self {
        let machine = DEFAULTS.machine(servers, workers, settings);
        Self {
            job: job.to_owned(),
            machine,
            about: About::default(),
            display: ProgressDisplay::Log,
            go_on: false,
            leaves_state: false,
        }
    }
}

impl TryFrom<Args> for Config {
    /// What is wrong, for people.
    type Error = String;

    fn try_from(args: Args) -> Result<Self, String> {
        let settings = args.training.settings().map_err(|error| error.to_string())?;
        let (options, loss) = (args.shape.options()?, args.loss.loss()?);
        let machine = args.timeouts.machine(args.servers, args.workers, settings);
        let stop_times = args.process.stop_times();
        let checkpoints = args.checkpoints.is_some();
        args.checkpoint_every.check(checkpoints)?;
        let checkpoint_every = args.checkpoint_every.every();
        let display = match args.process.progress_to_parent {
            true => ProgressDisplay::Parent,
            false => ProgressDisplay::Terminal,
        };
        Ok(Self {
            job: args.process.job_id,
            machine: ps_core::master::Config {
                checkpoints,
                checkpoint_every,
                stop_times,
                ..machine
            },
            about: About {
                model: args.model,
                options,
                loss,
                data_format: args.format,
                ..About::default()
            },
            display,
            go_on: args.go_on,
            leaves_state: args.process.exit_with_parent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_the_library_have_the_same_defaults() {
        let args = ["ps-master", "--servers", "2", "--workers", "3", "--out", "x"];
        let config = Config::try_from(Args::try_parse_from(args).unwrap()).unwrap();
        let same = Config::new("default", 2, 3, config.machine.settings.clone());
        assert_eq!(format!("{:?}", config.machine), format!("{:?}", same.machine));
        assert_eq!(config.job, same.job);
    }

    #[test]
    fn nonsense_is_refused() {
        for wrong in [["--servers", "0"], ["--workers", "0"], ["--lease-ms", "0"]] {
            let args = ["ps-master", "--servers", "1", "--workers", "1", "--out", "x"];
            let args = args.into_iter().filter(|arg| *arg != wrong[0]).chain(wrong);
            assert!(Args::try_parse_from(args).is_err(), "{wrong:?}");
        }
    }
}
