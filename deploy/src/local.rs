//! A job on this machine: from a command line to its last process, and once more where it can go on.

use crate::cli::{LocalArgs, OnServerLoss};
use crate::fail_points::FailPoints;
use crate::job::{self, Ended};
use crate::left::Journals;
use crate::logs::Logs;
use crate::output::Output;
use crate::plan::{self, Plan};
use crate::{check, model_name, terminal};
use anyhow::Context;
use clap::ArgMatches;
use ps_cli::process::{Tasks, Unparsed};
use ps_core::checkpoint::names::parse_manifest_file;
use ps_runtime::{Outside, Shutdown};
use ps_worker::model::Models;
use std::path::Path;
use std::process::ExitCode;

/// How often a job goes back to the same checkpoint: what ends it every time would do so again.
const BACK_TO_SAME_MAX: u32 = 3;

/// The whole command.
pub(crate) fn main_with(models: &Models, args: LocalArgs, matches: &ArgMatches) -> ExitCode {
    let checked = check::usage(&args.job)
        .and_then(|()| model_name::check(models, &args.job.model.model))
        .and_then(|()| check::checkpoint_times(&args.job, args.checkpoints.as_deref()))
        .and_then(|()| check::one_machine(&args));
    if let Err(message) = checked {
        return Unparsed::Other(message).print();
    }
    let process = args.job.process.clone();
    ps_cli::process::supervise("psrun", &process, Tasks::ThreadPerCore, |outside, shutdown| {
        run(models, args, matches, outside, shutdown)
    })
}

async fn run(
    models: &Models,
    args: LocalArgs,
    matches: &ArgMatches,
    outside: Outside,
    shutdown: Shutdown,
) -> anyhow::Result<u8> {
    let mut shared = None;
    if args.program.is_empty() {
        let mut stop = shutdown.clone();
        shared = tokio::select! {
            biased;
            signal = stop.wait() => return Ok(signal.exit_code()),
            checked = check::environment(models, &args) => checked?,
        };
    }
    let output = Output::create(args.out.as_deref())?;
    let mut stop = shutdown.clone();
    // Before anything in it is replaced: another job may be writing there.
    let _lock = tokio::select! {
        biased;
        lock = output.lock() => lock?,
        signal = stop.wait() => return Ok(signal.exit_code()),
    };
    let journals = Journals::find(&args, &output).await?;
    let id = journals.job.clone().unwrap_or_else(|| plan::job_id(&args.job.process.job_id));
    let mut plan = Plan::new(&args, matches, id, &output);
    journals.prepare(&plan)?;
    shared.iter().for_each(|data| plan.share_data(&data.path()));
    plan.fail_points = FailPoints::of_environment()?;
    plan.write_options(&output.options())?;
    // Itself again: whatever models it was built with, its workers have them too.
    let program = std::env::current_exe().context("finding the program that runs")?;
    let next = output.next_command(&args);
    let logs = Logs::Files(output);
    let mut back = GoingBack::new(&args);
    let result = loop {
        let ended = job::run(&program, &plan, &logs, outside.clone(), shutdown.clone()).await?;
        match ended {
            // A job that is done all the same had no need of who was lost.
            Ended { lost: Some(lost), result }
                if !matches!(result, Ok(0))
                    && shutdown.signal().is_none()
                    && back.may(&lost, &logs) =>
            {
                journals.forget(&plan)?;
            }
            Ended { result, lost } => {
                let is_lost = lost.is_some() && !matches!(result, Ok(0));
                let is_unsafe = args.checkpoints.is_none() && !args.job.durability.has_journals();
                if is_lost && is_unsafe && args.program.is_empty() {
                    logs.say(
                        "a job with --durability wal loses nothing with a server, and one with --checkpoints DIR goes back to its \
                         newest checkpoint by itself",
                    );
                }
                break result;
            }
        }
    };
    journals.end().iter().for_each(|line| terminal::print(line));
    let code = result?;
    next.filter(|_| code == 0).iter().for_each(|line| terminal::print(line));
    Ok(code)
}

/// Whether a job that lost what it cannot do without goes back to its newest checkpoint.
struct GoingBack<'a> {
    folder: Option<&'a Path>,
    newest: Option<u64>,
    times: u32,
}

impl<'a> GoingBack<'a> {
    fn new(args: &'a LocalArgs) -> Self {
        // What was read from a FIFO is gone, and what a program has done is its own affair.
        let can = args.on_server_loss != OnServerLoss::Stop
            && args.program.is_empty()
            && !args.job.model.read.pipe
            && !args.job.model.read.test_pipe;
        let folder = args.checkpoints.as_deref().filter(|_| can);
        Self { folder, newest: folder.and_then(newest), times: 0 }
    }

    /// Whether it does, which it says.
    fn may(&mut self, lost: &str, logs: &Logs) -> bool {
        let Some(folder) = self.folder else { return false };
        let found = newest(folder);
        self.times = if found > self.newest { 1 } else { self.times + 1 };
        self.newest = found;
        if self.times > BACK_TO_SAME_MAX {
            logs.say(&format!(
                "{lost}; the job went back to the same place {BACK_TO_SAME_MAX} times already"
            ));
            return false;
        }
        let place = found.map_or_else(
            || "its beginning, for no checkpoint was written yet".to_owned(),
            |number| format!("checkpoint {number} in {}", folder.display()),
        );
        logs.say(&format!(
            "{lost}: the job goes back to {place}; what was trained since is trained again (--on-server-loss stop ends it instead)"
        ));
        true
    }
}

/// The newest complete checkpoint of a folder.
fn newest(folder: &Path) -> Option<u64> {
    let names = std::fs::read_dir(folder).ok()?.flatten();
    names.filter_map(|entry| parse_manifest_file(entry.file_name().to_str()?)).max()
}
