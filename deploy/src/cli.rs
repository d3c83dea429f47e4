//! The command line of `psrun`.

use crate::checkpoint::CheckpointArgs;
use crate::evaluate::EvaluateArgs;
use crate::host::options::TrainArgs;
use crate::job_args::JobArgs;
use crate::new::NewArgs;
use crate::predict::PredictArgs;
use crate::replay::ReplayArgs;
use crate::serve::ServeArgs;
use crate::show::ShowArgs;
use clap::{Args, Parser, Subcommand};
use ps_core::limits::SHARDS_MAX;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples:
  psrun                                  # psrun local: 3 instances, bundled digits, this machine
  psrun local --instances 5 --passes 10 --optimizer momentum --lr 0.05
  psrun local --data mnist/ --model mlp --hidden 512,512 --batch-size 128 --out out/wide
  psrun train                                        # one host of a SageMaker or Kubeflow job
  psrun data table.csv                               # what is understood of a table, without a job
  psrun evaluate --model out/latest --data DIR       # how well a trained model does
  psrun predict --model out/latest --data new.csv    # what it says of new samples
  psrun serve --model out/latest                     # the same over HTTP
  psrun checkpoint ls out/digits                     # also verify, export, prune: a job's checkpoints
  psrun replay out/run/journal                       # which push went wrong, and the weights again
  psrun new my-model                                 # a crate with a model of your own
  psrun ps-server --shard 0 --listen 0.0.0.0:2223    # one role alone; --help after it says more

An option without a command belongs to `local`: `psrun --passes 3` is `psrun local --passes 3`.";

const LOCAL_EXAMPLES: &str = "Examples:
  psrun local                                        # bundled digits, 3 instances
  psrun local --instances 1 --passes 5               # one worker, one server
  psrun local --data mnist/ --hidden 512,512 --optimizer adam --staleness-bound 4 --out out/wide
  psrun local --passes 50 --checkpoints out/digits   # stopped and started again it goes on

N instances are N servers, N-1 workers (1 when N is 1), the master and an evaluator. The output
folder gets model.safetensors, report.json and logs/. Standard output carries metrics for machines,
`pass=3; test_accuracy=0.9771; test_loss=0.0812;` after each pass and `final_test_accuracy=0.9771;`
at the end; progress and logs go to standard error. Ctrl-C and SIGTERM save the model first; a
second one ends everything at once.

Exit codes: 0 done, 1 failed, 64 bad usage, 130 Ctrl-C, 143 SIGTERM.";

const TRAIN_EXAMPLES: &str = "Examples:
  train                        # in a container of a SageMaker training job
  psrun train --dry-run        # what would run on this host, and with which options
  TF_CONFIG=... psrun train    # in a pod of a Kubeflow TFJob

Reads the hyperparameters, the resources and the data channels under $SAGEMAKER_BASE_DIR (default
/opt/ml), or from SM_* variables, which win over the files. Every option here is also a
hyperparameter; flags win over PS_* variables, these over hyperparameters. Without SageMaker's
files and variables, TF_CONFIG says what this host is.

N hosts are N servers, N-1 workers (1 when N is 1), and on the first of the sorted hosts the master
and an evaluator. The job needs the hyperparameter sagemaker_parameter_server_enabled=true when it
has several hosts. The first host writes model/, a host that fails output/failure.

Exit codes: 0 done, 1 failed, 64 bad usage, 130 Ctrl-C, 143 SIGTERM.";

const DATA_EXAMPLES: &str = "Examples:
  psrun data table.csv                               # columns, label, classes, what is missing
  psrun data DIR --label price --json                # the same for programs
  psrun data train.csv --test test.csv --delimiter ';' --decimal ,

What becomes of each file and column goes to standard error, and one line of metrics (or, with
--json, one document) to standard output. The options are those of a job: what is shown here is what
a job would train on.

Exit codes: 0 a job could start, 1 it could not, 64 bad usage.";

const EVALUATE_EXAMPLES: &str = "Examples:
  psrun evaluate --model out/latest --data test.csv
  psrun evaluate --model out/latest --data DIR       # the test set there, or else all

One line goes to standard output: `test_loss=0.2143; test_accuracy=0.9771; test_samples=360;`. On the
files that a job tested with they are its final measures. A table is read as the training files were.";

const PREDICT_EXAMPLES: &str = "Examples:
  psrun predict --model out/latest --data new.csv --out predictions.csv
  psrun predict --model out/latest --data new.csv --keep name,city --out predictions.jsonl
  zcat new.csv.gz | psrun predict --model out/latest --data - | head

A line for each sample: the columns that are kept, the prediction, and a probability for each class.
Columns are found by their names where both files have a header; the label may be missing.";

const SERVE_EXAMPLES: &str = "Examples:
  psrun serve --model out/latest                     # http://127.0.0.1:8080
  curl --data-binary @new.csv -H 'Content-Type: text/csv' http://127.0.0.1:8080/invocations
  curl -d '{\"instances\": [{\"age\": 39, \"job\": \"cook\"}]}' -H 'Content-Type: application/json' \\
       http://127.0.0.1:8080/invocations
  serve                        # in a container of a SageMaker endpoint or transform job

GET /ping says that it can answer. POST /invocations takes text/csv (with a header or without, the label
may be missing), application/json (a sample, a list, or {\"instances\": [..]}; a sample is an object of
columns or a list of values) and application/jsonlines, and answers in the format of Accept, or that of
the request. Requests that wait at the same time are computed together. A signal ends it when what was
asked is answered.";

/// Train with asynchronous parameter servers: run a whole job, or one role of it.
#[derive(Parser, Debug)]
#[command(name = "psrun", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Cli {
    /// What to run.
    #[command(subcommand)]
    pub command: Command,
}

/// What `psrun` can run.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run a job on this machine: all of its processes, from start to saved model.
    #[command(after_help = LOCAL_EXAMPLES)]
    Local(Box<LocalArgs>),
    /// Be one host of a job that SageMaker or Kubeflow has started; `train` is the same.
    #[command(after_help = TRAIN_EXAMPLES)]
    Train(Box<TrainArgs>),
    /// Show what is understood of some data: files, columns, label, classes. Starts no job.
    #[command(after_help = DATA_EXAMPLES)]
    Data(Box<ShowArgs>),
    /// Measure a trained model on data with labels.
    #[command(after_help = EVALUATE_EXAMPLES)]
    Evaluate(Box<EvaluateArgs>),
    /// Let a trained model say what samples are.
    #[command(after_help = PREDICT_EXAMPLES)]
    Predict(Box<PredictArgs>),
    /// Serve a trained model over HTTP, by the contract of SageMaker's hosting.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<ServeArgs>),
    /// Look at a job's checkpoints: list, verify, export as a model, remove old ones.
    #[command(after_help = crate::checkpoint::EXAMPLES)]
    Checkpoint(CheckpointArgs),
    /// Make a job's weights again from its servers' journals, bit for bit, and name the push that went wrong.
    #[command(after_help = crate::replay::EXAMPLES)]
    Replay(ReplayArgs),
    /// Write a crate with a model of your own: a program that is psrun with one more model.
    New(NewArgs),
    #[command(flatten)]
    #[allow(missing_docs)]
    Role(RoleCommand),
}

/// The roles, listed for the help; [`crate::roles`] takes them before the command line is parsed.
#[derive(Subcommand, Debug)]
pub enum RoleCommand {
    /// Be the master of a job, as the program ps-master.
    PsMaster,
    /// Be one server of a job, as the program ps-server.
    PsServer,
    /// Be a worker or the evaluator of a job, as the program ps-worker.
    PsWorker,
}

/// What becomes of a job that loses a server, or its master, and what that held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnServerLoss {
    /// It ends.
    Stop,
    /// All of it goes back to its newest checkpoint.
    #[default]
    Back,
    /// The server's part of the model goes back alone, the others go on where they are.
    Continue,
}

/// A job on this machine.
#[derive(Args, Clone, Debug)]
pub struct LocalArgs {
    /// Instances to run as, each a server, and each but the first a worker.
    #[arg(long, env = "PS_INSTANCES", default_value = "3", value_name = "N", value_parser = instances)]
    pub instances: u32,
    /// Folder for the model, the report and the logs; what is there is replaced
    /// [default: a new out/run-N, also reached as out/latest].
    #[arg(long, env = "PS_OUT", value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Folder for checkpoints, written after each pass and at the end; the same command goes on from
    /// the newest complete one that is there.
    #[arg(long, env = "PS_CHECKPOINTS", value_name = "DIR")]
    pub checkpoints: Option<PathBuf>,
    /// What becomes of a job with --checkpoints when a server is killed: the job ends, or all of it goes back to its newest
    /// checkpoint, or the server's part goes back there alone and the job continues: what was pushed to it since is lost, which is
    /// said. When the master is killed, `continue` is as `back`. With --durability wal nothing is lost, and this does not matter.
    #[arg(long, env = "PS_ON_SERVER_LOSS", value_enum, default_value_t, value_name = "WHAT")]
    pub on_server_loss: OnServerLoss,
    /// With --durability wal: in about every so many seconds one of the job's processes is killed, so that you see it go on; at its
    /// end the job says who was killed, and for how long they were away.
    #[arg(long, env = "PS_CHAOS", value_name = "SECONDS", value_parser = seconds)]
    pub chaos: Option<f64>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub job: JobArgs,
    /// A program of your own that every worker runs instead of a model, with its arguments.
    #[arg(last = true, value_name = "CMD")]
    pub program: Vec<OsString>,
}

/// Parses a time between two deaths.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=86_400.0).contains(seconds));
    seconds.ok_or_else(|| "expected seconds, from 0.1 to 86400".to_owned())
}

/// Parses a number of instances.
fn instances(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| (1..=SHARDS_MAX).contains(count));
    count.ok_or_else(|| {
        format!("a job needs 1 to {SHARDS_MAX} instances; 1 runs a server and a worker together")
    })
}

/// The command line with the command put in where none is named: `train` or `serve` for a program of that
/// name, `train` in a container that was started without a word; else `local`.
pub fn with_default_command(mut args: Vec<OsString>, in_container: bool) -> Vec<OsString> {
    let program = args.first().and_then(|program| Path::new(program).file_name());
    let named = ["train", "serve"].into_iter().find(|it| program.is_some_and(|name| name == *it));
    if let Some(command) = named.or((in_container && args.len() < 2).then_some("train")) {
        // Whoever starts the program `train` with the word `train` says it twice.
        if args.get(1).is_none_or(|word| word != command) {
            args.insert(args.len().min(1), command.into());
        }
        return args;
    }
    let about_psrun = ["-h", "--help", "-V", "--version"];
    let named = args
        .get(1)
        .and_then(|word| word.to_str())
        .is_some_and(|word| about_psrun.contains(&word) || !word.starts_with('-'));
    if !named {
        let position = args.len().min(1);
        args.insert(position, "local".into());
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use std::ffi::OsStr;

    fn parse(line: &str) -> LocalArgs {
        let words = line.split_whitespace().map(OsString::from).collect();
        match Cli::try_parse_from(with_default_command(words, false)).unwrap().command {
            Command::Local(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_is_local() {
        assert_eq!(parse("psrun").instances, 3);
        assert_eq!(parse("psrun --instances 5 --passes 2").instances, 5);
        assert_eq!(parse("psrun local --model linear").job.model.model, "linear");
    }

    #[test]
    fn a_container_trains() {
        let words = |line: &str, in_container| {
            let words = line.split_whitespace().map(OsString::from).collect();
            let words = with_default_command(words, in_container);
            words.join(OsStr::new(" ")).into_string().unwrap()
        };
        assert_eq!(words("/usr/bin/psrun", true), "/usr/bin/psrun train");
        assert_eq!(words("/usr/bin/psrun", false), "/usr/bin/psrun local");
        assert_eq!(words("psrun --passes 3", true), "psrun local --passes 3");
        assert_eq!(words("psrun local", true), "psrun local");
        for container in [true, false] {
            assert_eq!(words("/usr/bin/train", container), "/usr/bin/train train");
            assert_eq!(words("train train", container), "train train");
            assert_eq!(words("train --lr 0.1", container), "train train --lr 0.1");
            assert_eq!(words("/usr/local/bin/serve", container), "/usr/local/bin/serve serve");
        }
    }

    /// One file may be for several commands.
    #[test]
    fn a_file_may_have_options_of_another_command_and_no_others() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let parse = |text: &str, command: &str| {
            std::fs::write(file.path(), text).unwrap();
            let line = ["psrun".into(), command.into(), "--config".into(), file.path().into()];
            ps_cli::process::parse_with::<Cli>(line as [OsString; 4], &[])
        };
        for command in ["local", "train"] {
            assert!(parse("instances = 2\nmaster-port = 7", command).is_ok(), "{command}");
            let error = parse("instanses = 2", command).unwrap_err().to_string();
            assert!(error.contains("instanses"), "{error}");
        }
    }

    #[test]
    fn no_instances_are_refused_in_words() {
        let error = Cli::try_parse_from(["psrun", "local", "--instances", "0"]).unwrap_err();
        assert!(error.to_string().contains("1 to 1024 instances"), "{error}");
    }
}
