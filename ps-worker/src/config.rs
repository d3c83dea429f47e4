//! The options of a worker.

mod data_args;
mod data_check;
mod dataset_args;
mod table_args;

use crate::device::DeviceChoice;
use crate::place::PlaceArgs;
use clap::builder::RangedU64ValueParser;
use clap::{Args as _, Command, Parser, ValueEnum};
use ps_cli::given::{given, values};
use ps_cli::process::{Parsed, ProcessArgs, parse};
use ps_cli::{LossArgs, ShapeArgs, TrainingArgs};
use ps_core::loss::Weights;
use ps_proto::v1;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

pub use data_args::DataArgs;
pub use dataset_args::DatasetArgs;
pub use table_args::TableArgs;

const EXAMPLES: &str = "Examples:
  ps-worker --ps 127.0.0.1:2223                          # bundled digits, one server, no master
  ps-worker --ps host1:2223 --ps host2:2223 --data DIR --model mlp --worker-index 1 --workers 2
  ps-worker --master host1:2222 --data DIR --model mlp   # the master says how to train
  ps-worker --master host1:2222 --data DIR --model mlp --role evaluator
  ps-worker --ps 127.0.0.1:2223 --data TRAIN --test TEST --label 1
  ps-worker --master host1:2222 --data SHARE --sharded   # other samples than the other workers
  ps-worker --master host1:2222 --data SHARE --sharded --role evaluator \\
            --serve-samples 0.0.0.0:2224 --advertise host1:2224
  ps-worker --master host1:2222 --data DIR -- ./train.sh # a program of your own as the worker

DIR holds IDX files (train-images-idx3-ubyte, ..., plain or .gz), CSV files (train.csv and test.csv,
or any *.csv), RecordIO-protobuf files or text (*.txt); with --test the two directories hold one set
each, in any number of files, subdirectories too. Without --data the bundled 8x8 digits are used.
Metrics go to standard output, `name=value;` pairs a line; logs and progress to standard error. Exit
codes: 0 done, 1 failed, 64 bad usage, 130 Ctrl-C, 143 SIGTERM, both after saving.";

/// What a worker process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Computes gradients and pushes them.
    Worker,
    /// Pulls, evaluates and reports; never pushes.
    Evaluator,
}

impl Role {
    /// As messages have it.
    pub(crate) fn to_wire(self) -> v1::Role {
        match self {
            Self::Worker => v1::Role::Worker,
            Self::Evaluator => v1::Role::Evaluator,
        }
    }
}

/// Train a model: pull weights, compute gradients, push them.
#[derive(Parser, Clone, Debug)]
#[command(name = "ps-worker", version, after_help = EXAMPLES)]
pub struct Args {
    /// A server, for a job without a master; name each, in any order.
    #[arg(
        long = "ps",
        env = "PS_SERVER_ADDRESSES",
        value_name = "HOST:PORT",
        value_delimiter = ','
    )]
    pub servers: Vec<String>,
    /// The master, which then names the servers and says how to train.
    #[arg(long, env = "PS_MASTER", value_name = "HOST:PORT")]
    pub master: Option<String>,
    /// Whether to train or only to evaluate; an evaluator needs a master.
    #[arg(long, env = "PS_ROLE", value_enum, default_value = "worker")]
    pub role: Role,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    /// Evaluator with --sharded: where it serves its own training samples to workers, which train
    /// on them; port 0 takes any free one.
    #[arg(long, env = "PS_SERVE_SAMPLES", value_name = "ADDR")]
    pub serve_samples: Option<String>,
    /// Write what was understood of a table into this file, as JSON.
    #[arg(long, env = "PS_WRITE_SCHEMA", value_name = "FILE")]
    pub write_schema: Option<PathBuf>,
    /// Evaluator on the master's machine: where a job with --keep best has its best weights written. The master
    /// looks for them in its --checkpoints, or without these in its --out: give the same folder.
    #[arg(long, env = "PS_KEEP_IN", value_name = "DIR")]
    pub keep_in: Option<PathBuf>,
    /// Where psrun has the data that it has read: each process of this machine reads the same memory.
    #[arg(long, value_name = "PATH", hide = true)]
    pub shared_data: Option<PathBuf>,
    /// Where workers reach --serve-samples [default: the address that it listens on].
    #[arg(long, env = "PS_ADVERTISE", value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// What this machine is called in messages to people [default: its host name].
    #[arg(long, env = "PS_HOST_NAME", value_name = "NAME")]
    pub host_name: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: PlaceArgs,
    /// Without a master: which share of the data this worker trains on. With one: the rank it asks
    /// for.
    #[arg(long, env = "PS_WORKER_INDEX", value_name = "I")]
    pub worker_index: Option<u32>,
    /// Without a master: how many workers share the data [default: 1].
    #[arg(long, env = "PS_WORKERS", value_name = "M")]
    pub workers: Option<u32>,
    /// Without a master: where worker 0 writes the model [default: out].
    #[arg(long, env = "PS_OUT", value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub training: TrainingArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub calls: CallTimeoutArgs,
    /// Without a master: seconds that a step may take before the others stop waiting for this worker.
    #[arg(long, env = "PS_STEP_TIMEOUT_S", default_value_t = 60, value_name = "S")]
    pub step_timeout_s: u64,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub process: ProcessArgs,
    /// A program of your own that does the worker's work, with its arguments; it finds its place in
    /// the job in PS_* variables.
    #[arg(last = true, value_name = "CMD")]
    pub program: Vec<OsString>,
    /// The options about model and data that were given, as variables for that program.
    #[arg(skip)]
    pub variables: Vec<(OsString, OsString)>,
}

/// Which model, on which data, computed where.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Model and data")]
pub struct ModelArgs {
    /// Directory or file of the training data, and of the test data unless --test says where they
    /// are [default: the bundled digits].
    #[arg(long, env = "PS_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub read: DataArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub dataset: DatasetArgs,
    /// The model by name: linear, mlp, wide-deep, lenet, resnet-tiny, transformer-tiny, or one that the
    /// program adds.
    #[arg(long, env = "PS_MODEL", default_value = "mlp", value_name = "NAME")]
    pub model: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub shape: ShapeArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub loss: LossArgs,
    /// Start from a trained model instead of the seed: a safetensors file, or a folder with
    /// model.safetensors. Tensors are found by name; all workers need the same.
    #[arg(long, env = "PS_INITIAL_MODEL", value_name = "PATH")]
    pub initial_model: Option<PathBuf>,
    /// Where to compute: auto, cpu or cuda:N.
    #[arg(long, env = "PS_DEVICE", default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,
    /// Threads to compute with [default: RAYON_NUM_THREADS if it is set, else all cores; `psrun local`
    /// shares them out among its workers].
    #[arg(long, env = "PS_THREADS", value_name = "T",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=65_536))]
    pub threads: Option<usize>,
}

impl ModelArgs {
    /// What contradicts itself, in one sentence.
    ///
    /// # Errors
    /// Options that do not go together.
    pub fn check(&self) -> Result<(), String> {
        self.shape.options()?;
        let is_partial = self.read.sharded || self.read.is_streamed();
        if self.loss.loss()?.weights == Weights::Balanced && is_partial {
            return Err("--class-weights balanced with --sharded, --stream or --pipe: no process sees all labels; \
                        give NAME=WEIGHT,.."
                .into());
        }
        self.dataset.check()?;
        if self.dataset.dataset.is_some() {
            return self.read.check_own();
        }
        self.read.check(self.data.as_deref())
    }
}

/// How long calls to servers may take.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Limits of time")]
pub struct CallTimeoutArgs {
    /// Milliseconds in which nothing moves after which a call to a server is tried again on a fresh connection.
    #[arg(long, env = "PS_ATTEMPT_MS", default_value_t = 10_000, value_name = "MS")]
    pub attempt_ms: u64,
    /// Milliseconds that a server may be away before a worker gives up. In a job with a master a worker waits
    /// for a server as long as the master does (--server-away-s).
    #[arg(long, env = "PS_PATIENCE_MS", default_value_t = 30_000, value_name = "MS")]
    pub patience_ms: u64,
}

impl Args {
    /// The options that a command line, the environment and a file give.
    ///
    /// # Errors
    /// The exit code to leave with; the message was printed.
    pub fn read(line: Vec<OsString>) -> Result<Self, ExitCode> {
        let Parsed { mut args, matches } = parse::<Self>(line)?;
        let given = given(ModelArgs::augment_args(Command::new("model")), &matches);
        let mut variables: BTreeMap<OsString, OsString> =
            given.into_iter().map(|it| (it.variable, it.value)).collect();
        // A program must know these also where they are the default.
        for (name, value) in
            [("PS_MODEL", args.model.model.clone()), ("PS_DEVICE", args.model.device.to_string())]
        {
            variables.entry(name.into()).or_insert_with(|| value.into());
        }
        if args.model.read.test_pipe {
            // Only one process can read a FIFO: the evaluator.
            variables.retain(|name, _| name != "PS_TEST" && name != "PS_TEST_PIPE");
        }
        // It chooses its own GPU.
        let place = &args.place;
        for (name, value) in
            [("PS_LOCAL_INDEX", place.local_index), ("PS_LOCAL_WORKERS", place.local_workers)]
        {
            variables.insert(name.into(), value.to_string().into());
        }
        args.variables = variables.into_iter().collect();
        Ok(args)
    }

    /// What contradicts itself, in one sentence.
    ///
    /// # Errors
    /// Options that do not go together.
    pub fn check(&self) -> Result<(), String> {
        self.model.check()?;
        let place = self.place.place()?;
        if place.workers > 1 && self.model.read.pipe {
            return Err(
                "--pipe with --local-workers: a FIFO has one reader, so its machine has one worker"
                    .into(),
            );
        }
        if self.master.is_none() && self.servers.is_empty() {
            return Err(
                "nobody to work with: name the servers with --ps HOST:PORT, or the master \
                        with --master HOST:PORT"
                    .into(),
            );
        }
        if !self.program.is_empty() && (self.master.is_none() || self.role == Role::Evaluator) {
            return Err(
                "a program after `--` needs a --master, and is a worker: without a master, \
                        start it by itself"
                    .into(),
            );
        }
        if !self.program.is_empty() && self.model.read.validation_split.is_some() {
            return Err("--validation-split with a program: it reads its data itself, the held-out samples, too; leave \
                        it out".into());
        }
        if self.keep_in.is_some() && self.role != Role::Evaluator {
            return Err(
                "--keep-in is for the evaluator, which keeps the best weights there: give \
                        --role evaluator, or leave it out"
                    .into(),
            );
        }
        if self.master.is_none() && self.role == Role::Evaluator {
            return Err("--role evaluator needs a --master to report to".into());
        }
        self.check_shares()?;
        if self.master.is_some() {
            return self.check_with_master();
        }
        if self.model.read.is_streamed() {
            let option = if self.model.read.pipe { "--pipe" } else { "--stream" };
            return Err(format!("{option} needs a --master, which says when a pass is over"));
        }
        let (index, workers) = (self.worker_index.unwrap_or(0), self.workers.unwrap_or(1));
        if index >= workers {
            return Err(format!(
                "--worker-index {index} of --workers {workers}: expected an index below the number"
            ));
        }
        let settings = self.training.settings().map_err(|error| error.to_string())?;
        match settings.evaluation.options().first() {
            Some(option) => Err(format!(
                "{option} needs a --master, which counts the steps of all workers and writes the model; without \
                 one leave it out"
            )),
            None => Ok(()),
        }
    }

    /// What has to do with samples that only one process has.
    fn check_shares(&self) -> Result<(), String> {
        let is_sharded = self.model.read.sharded;
        // A program that a worker runs: that worker's master knows.
        let has_place = std::env::var_os(ps_client::environment::INCARNATION).is_some();
        if is_sharded && self.master.is_none() && !has_place {
            return Err(
                "--sharded needs a --master, which knows what the others have; without one \
                        share the data with --worker-index and --workers"
                    .into(),
            );
        }
        if is_sharded && self.model.data.is_none() {
            return Err(
                "--sharded needs --data DIR: the bundled digits are the same everywhere".into()
            );
        }
        if self.serve_samples.is_some() && (self.role != Role::Evaluator || !is_sharded) {
            return Err("--serve-samples is for an evaluator with a share of its own: give \
                        --role evaluator and --sharded, or leave it out"
                .into());
        }
        if self.advertise.is_some() && self.serve_samples.is_none() {
            return Err("--advertise says where --serve-samples is reached: give both".into());
        }
        Ok(())
    }

    fn check_with_master(&self) -> Result<(), String> {
        if let Some((name, value)) = values(&self.training).first() {
            return Err(format!(
                "--{name}={value}, from the command line or its PS_* variable: with --master the master says how \
                 to train; give the option to ps-master"
            ));
        }
        let own = [("--workers", self.workers.is_some()), ("--out", self.out.is_some())];
        if let Some((option, _)) = own.iter().find(|(_, given)| *given) {
            return Err(format!("{option}: with --master the option belongs to ps-master"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
