//! The command line of `psrun`.

use clap::{Args, Parser, Subcommand};
use ps_core::limits::SHARDS_MAX;
use ps_runtime::TrainingArgs;
use ps_runtime::process::ProcessArgs;
use ps_worker::config::ModelArgs;
use std::ffi::OsString;
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  psrun                                  # psrun local: 3 instances, bundled digits, this machine
  psrun local --instances 5 --passes 10 --optimizer momentum --lr 0.05
  psrun local --data mnist/ --model mlp --hidden 512,512 --batch-size 128 --out out/wide
  psrun ps-server --shard 0 --listen 0.0.0.0:2223    # one role alone; --help after it says more

An option without a command belongs to `local`: `psrun --passes 3` is `psrun local --passes 3`.";

const LOCAL_EXAMPLES: &str = "Examples:
  psrun local                                        # bundled digits, 3 instances
  psrun local --instances 1 --passes 5               # one worker, one server
  psrun local --data mnist/ --hidden 512,512 --optimizer adam --staleness-bound 4 --out out/wide

N instances are N servers, N-1 workers (1 when N is 1), the master and an evaluator. The output
folder gets model.safetensors, report.json and logs/. Standard output carries metrics for machines,
`pass=3; test_accuracy=0.9771; test_loss=0.0812;` after each pass and `final_test_accuracy=0.9771;`
at the end; progress and logs go to standard error. Ctrl-C and SIGTERM save the model first; a
second one ends everything at once.

Exit codes: 0 done, 1 failed, 64 bad usage, 130 Ctrl-C, 143 SIGTERM.";

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
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub training: TrainingArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub process: ProcessArgs,
}

/// Parses a number of instances.
fn instances(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| (1..=SHARDS_MAX).contains(count));
    count.ok_or_else(|| {
        format!("a job needs 1 to {SHARDS_MAX} instances; 1 runs a server and a worker together")
    })
}

/// The command line with `local` put in where no command is named.
pub fn with_default_command(mut args: Vec<OsString>) -> Vec<OsString> {
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

    fn parse(line: &str) -> LocalArgs {
        let words = line.split_whitespace().map(OsString::from).collect();
        match Cli::try_parse_from(with_default_command(words)).unwrap().command {
            Command::Local(args) => *args,
            Command::Role(role) => panic!("{role:?}"),
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
        assert_eq!(parse("psrun local --model linear").model.model, "linear");
    }

    #[test]
    fn no_instances_are_refused_in_words() {
        let error = Cli::try_parse_from(["psrun", "local", "--instances", "0"]).unwrap_err();
        assert!(error.to_string().contains("1 to 1024 instances"), "{error}");
    }
}
