//! The commands that start no job: what they print, and what they exit with.

use crate::checkpoint::{CheckpointArgs, CheckpointCommand, Said};
use crate::evaluate::EvaluateArgs;
use crate::predict::PredictArgs;
use crate::replay::ReplayArgs;
use crate::serve::ServeArgs;
use crate::show::ShowArgs;
use crate::terminal;
use ps_cli::process::LevelFilter;
use ps_worker::model::Models;
use std::process::ExitCode;

/// Serves a trained model.
pub(crate) fn serve(models: Models, args: ServeArgs) -> ExitCode {
    if let Err(code) = with_threads(args.threads) {
        return code;
    }
    let process = args.process();
    let tasks = ps_cli::process::Tasks::ThreadPerCore;
    ps_cli::process::run("psrun serve", &process, tasks, |outside, shutdown| {
        crate::serve::run(models, args, outside.metrics, shutdown)
    })
}

/// Has candle compute with so many threads, or all cores.
fn with_threads(threads: Option<usize>) -> Result<(), ExitCode> {
    let threads = threads.unwrap_or_else(|| ps_worker::threads::fair_share(1));
    ps_worker::threads::configure_threads(threads).map_err(|error| {
        terminal::print(&format!("error: --threads: {error}"));
        ExitCode::FAILURE
    })
}

/// Measures a trained model.
pub(crate) fn evaluate(models: &Models, args: &EvaluateArgs) -> ExitCode {
    used(args.model.threads, "evaluate", || {
        Ok(terminal::print_metrics(&crate::evaluate::run(models, args)?)?)
    })
}

/// Lets a trained model predict.
pub(crate) fn predict(models: &Models, args: &PredictArgs) -> ExitCode {
    used(args.model.threads, "predict", || {
        let samples = crate::predict::run(models, args)?;
        terminal::print(&format!("{samples} samples"));
        Ok(())
    })
}

/// Uses a trained model with so many threads, or all cores.
fn used(
    threads: Option<usize>,
    command: &str,
    work: impl FnOnce() -> anyhow::Result<()>,
) -> ExitCode {
    if let Err(code) = with_threads(threads) {
        return code;
    }
    done(command, work)
}

/// Looks at checkpoints, removes some, or has a job write one.
pub(crate) fn checkpoint(args: CheckpointArgs) -> ExitCode {
    match args.command {
        CheckpointCommand::Folder(command) => done("checkpoint", || {
            let (mut out, mut tell) = (std::io::stdout(), terminal::print);
            crate::checkpoint::run(&command, &mut Said { out: &mut out, tell: &mut tell })
        }),
        CheckpointCommand::Now(args) => {
            let (process, tasks) = (args.process.clone(), ps_cli::process::Tasks::OneThread);
            ps_cli::process::run("psrun checkpoint now", &process, tasks, |outside, shutdown| {
                crate::checkpoint::now::run(args, outside, shutdown)
            })
        }
    }
}

/// Makes a job's weights again from its journals.
pub(crate) fn replay(args: &ReplayArgs) -> ExitCode {
    done("replay", || {
        let (mut out, mut tell) = (std::io::stdout(), terminal::print);
        crate::replay::run(args, &mut Said { out: &mut out, tell: &mut tell })
    })
}

/// Does it, and says what went wrong.
fn done(command: &str, work: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    ps_cli::process::start_logging(LevelFilter::WARN, false);
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::print(&format!(
                "error: psrun {command}: {}",
                ps_cli::process::causes(&error)
            ));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_one = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(is_one)
            || cause.downcast_ref::<csv::Error>().is_some_and(
                |error| matches!(error.kind(), csv::ErrorKind::Io(error) if is_one(error)),
            )
    })
}

/// Shows what is understood of some data.
pub(crate) fn show(models: &Models, args: &ShowArgs) -> ExitCode {
    ps_cli::process::start_logging(LevelFilter::WARN, false);
    match crate::show::run(models, args) {
        Ok(shown) => {
            shown.lines.iter().for_each(|line| terminal::print(line));
            let is_empty = shown.metrics.is_empty();
            let printed = if is_empty { Ok(()) } else { terminal::print_metrics(&shown.metrics) };
            let unprinted = || printed.err().map(|error| error.to_string());
            let Some(problem) = shown.problem.or_else(unprinted) else { return ExitCode::SUCCESS };
            terminal::print(&format!("error: {problem}"));
        }
        Err(error) => {
            terminal::print(&format!("error: psrun data: {}", ps_cli::process::causes(&error)));
        }
    }
    ExitCode::FAILURE
}
