//! The options of a worker.

mod data_args;
mod data_check;
mod shape_args;

use clap::{Parser, ValueEnum};
use ps_cli::TrainingArgs;
use ps_cli::process::ProcessArgs;
use std::ffi::OsString;
use std::path::PathBuf;

pub use data_args::DataArgs;
pub use shape_args::ShapeArgs;

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
    /// Where workers reach --serve-samples [default: the address that it listens on].
    #[arg(long, env = "PS_ADVERTISE", value_name = "HOST:PORT")]
    pub advertise: Option<String>,
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
    /// Milliseconds after which a call to a server is tried again on a fresh connection.
    #[arg(long, env = "PS_ATTEMPT_MS", default_value_t = 10_000, value_name = "MS")]
    pub attempt_ms: u64,
    /// Milliseconds that a server may be away before the worker gives up.
    #[arg(long, env = "PS_PATIENCE_MS", default_value_t = 30_000, value_name = "MS")]
    pub patience_ms: u64,
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
    /// The model by name: linear, mlp, lenet, resnet-tiny, transformer-tiny, or one that the
    /// program adds.
    #[arg(long, env = "PS_MODEL", default_value = "mlp", value_name = "NAME")]
    pub model: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub shape: ShapeArgs,
    /// Start from a trained model instead of the seed: a safetensors file, or a folder with
    /// model.safetensors. Tensors are found by name; all workers need the same.
    #[arg(long, env = "PS_INITIAL_MODEL", value_name = "PATH")]
    pub initial_model: Option<PathBuf>,
    /// Where to compute: auto, cpu or cuda:N.
    #[arg(long, env = "PS_DEVICE", default_value = "auto", value_name = "DEVICE")]
    pub device: String,
    /// Threads to compute with [default: RAYON_NUM_THREADS if it is set, else all cores; `psrun local`
    /// shares them out among its workers].
    #[arg(long, env = "PS_THREADS", value_name = "T")]
    pub threads: Option<usize>,
}

impl ModelArgs {
    /// The options that were given, as arguments for a process that takes the same.
    pub fn to_args(&self) -> Vec<String> {
        let shown = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let options = [
            ("--data", shown(&self.data)),
            ("--model", Some(self.model.clone())),
            ("--initial-model", shown(&self.initial_model)),
            ("--device", Some(self.device.clone())),
            ("--threads", self.threads.map(|threads| threads.to_string())),
        ];
        let given = options.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let mut args: Vec<String> = given.map(|(name, value)| format!("{name}={value}")).collect();
        let shape = self.shape.given().into_iter();
        args.extend(shape.map(|(name, value)| format!("--{name}={value}")));
        args.extend(self.read.to_args());
        args
    }

    /// What contradicts itself, in one sentence.
    ///
    /// # Errors
    /// Options that do not go together.
    pub fn check(&self) -> Result<(), String> {
        if self.threads == Some(0) {
            return Err("--threads: found 0, expected at least 1".into());
        }
        self.read.check(self.data.as_deref())
    }
}

impl Args {
    /// What contradicts itself, in one sentence.
    ///
    /// # Errors
    /// Options that do not go together.
    pub fn check(&self) -> Result<(), String> {
        self.model.check()?;
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
        self.training.settings().map(|_| ()).map_err(|error| error.to_string())
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
        if let Some(option) = self.training.to_args().first() {
            return Err(format!(
                "{option}, from the command line or its PS_* variable: with --master the master says how \
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
mod tests {
    use super::*;
    use ps_data::LabelColumn;

    fn check(args: &[&str]) -> Result<(), String> {
        let args = std::iter::once("ps-worker").chain(args.iter().copied());
        Args::try_parse_from(args).map_err(|error| error.to_string())?.check()
    }

    #[test]
    fn contradictions_are_named() {
        assert!(check(&[]).unwrap_err().contains("--ps"));
        assert!(check(&["--ps", "a:1"]).is_ok());
        assert!(check(&["--ps", "a:1", "--role", "evaluator"]).unwrap_err().contains("--master"));
        assert!(check(&["--master", "a:1", "--lr", "1"]).unwrap_err().contains("--lr"));
        assert!(check(&["--master", "a:1", "--out", "o"]).unwrap_err().contains("--out"));
        let outside = ["--ps", "a:1", "--worker-index", "2", "--workers", "2"];
        assert!(check(&outside).unwrap_err().contains("--worker-index 2"));
        assert!(check(&["--ps", "a:1", "--optimizer", "x"]).unwrap_err().contains("sgd"));
    }

    #[test]
    fn options_of_the_data_are_passed_on_and_checked() {
        let data = ["--data", "d", "--test", "t", "--format", "csv", "--wrapper", "recordio"];
        let more = [
            "--label",
            "2",
            "--classes",
            "7",
            "--sharded",
            "--pipe",
            "--augment-shift",
            "2",
            "--context",
            "9",
        ];
        let all: Vec<&str> =
            ["ps-worker", "--master", "a:1"].into_iter().chain(data).chain(more).collect();
        let args = Args::try_parse_from(all).unwrap();
        args.check().unwrap();
        let passed = args.model.to_args();
        let again =
            ["ps-worker", "--master", "a:1"].into_iter().map(str::to_owned).chain(passed.clone());
        let again = Args::try_parse_from(again).unwrap();
        assert_eq!(again.model.to_args(), passed);
        assert_eq!(again.model.read.source(None), args.model.read.source(None));
        assert_eq!(again.model.read.augment_shift, 2);
        assert_eq!(again.model.read.source(None).label, LabelColumn::Number(2));

        let says = |args: &[&str], part: &str| {
            let args: Vec<&str> = ["--ps", "a:1"].iter().chain(args).copied().collect();
            let problem = check(&args).unwrap_err();
            assert!(problem.contains(part), "`{problem}` does not contain `{part}`");
        };
        says(&["--test", "t"], "--test without --data");
        says(&["--pipe"], "--pipe without --data");
        says(&["--pipe", "--data", "d", "--format", "idx"], "--format idx");
        says(&["--pipe", "--data", "d", "--wrapper", "recordio"], "--format csv");
        says(&["--classes", "0"], "1 to 65536");
        says(&["--context", "0"], "1 to 65536");
        says(&["--pipe", "--data", "d"], "--pipe needs a --master");
        says(&["--stream", "--data", "d"], "--stream needs a --master");
        says(&["--stream"], "--stream without --data");
        says(&["--stream", "--pipe", "--data", "d"], "--stream with --pipe");
        says(&["--shuffle-buffer", "9", "--data", "d"], "--shuffle-buffer 9 without --stream");
        let none = ["--stream", "--data", "d", "--shuffle-buffer", "0"];
        says(&none, "--shuffle-buffer 0: expected 1 to");
    }

    #[test]
    fn options_of_streams_of_files_are_passed_on() {
        let given = ["--master", "a:1", "--data", "d", "--stream", "--shuffle-buffer", "7"];
        check(&given).unwrap();
        let read = |args: &[&str]| {
            let args = std::iter::once("ps-worker").chain(args.iter().copied());
            Args::try_parse_from(args).unwrap().model
        };
        let passed = read(&given).to_args();
        assert!(passed.contains(&"--stream".to_owned()), "{passed:?}");
        assert!(passed.contains(&"--shuffle-buffer=7".to_owned()), "{passed:?}");
        let source = read(&given).read.source(None);
        assert!(source.streamed && !source.sharded);
        let waiting = |args: &[&str]| read(args).read.shuffle_samples();
        assert_eq!(waiting(&given), Some(7));
        assert_eq!(waiting(&given[..5]), Some(4_096));
        assert_eq!(waiting(&["--stream", "--shuffle-buffer", "1"]), None);
        assert_eq!(waiting(&["--pipe"]), None);
    }

    #[test]
    fn options_for_shares_are_checked() {
        let share = ["--sharded", "--data", "d"];
        let with = |more: &[&'static str]| [&share, more].concat();
        assert!(check(&with(&["--ps", "a:1"])).unwrap_err().contains("--master"));
        assert!(check(&with(&["--master", "a:1"])).is_ok());
        assert!(check(&["--master", "a:1", "--sharded"]).unwrap_err().contains("--data"));
        let serve = ["--master", "a:1", "--serve-samples", "127.0.0.1:0"];
        assert!(check(&with(&serve)).unwrap_err().contains("--role evaluator"));
        let evaluator = with(&[&serve[..], &["--role", "evaluator"]].concat());
        assert!(check(&evaluator).is_ok());
        let whole = [&serve[..], &["--role", "evaluator"]].concat();
        assert!(check(&whole).unwrap_err().contains("--sharded"));
        let advertise = with(&["--master", "a:1", "--advertise", "h:1"]);
        assert!(check(&advertise).unwrap_err().contains("--serve-samples"));
        let args = std::iter::once("ps-worker").chain(evaluator.iter().copied());
        let args = Args::try_parse_from(args).unwrap();
        assert!(args.model.to_args().contains(&"--sharded".to_owned()));
    }
}
