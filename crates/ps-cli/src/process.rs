//! What every `main` does: parse, log, run, exit with the right code.

use crate::layers;
use crate::terminal::{self, LogWriter};
pub use crate::unparsed::{EXIT_USAGE, Unparsed};
use clap::{ArgMatches, Args, Parser};
use ps_core::stop::StopTimes;
use ps_runtime::{Connector, Outside, Shutdown, Signal, SystemClock};
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
pub use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// Signals within this time are one wish: a terminal, a script that passes them on and a process group
/// may each bring it.
pub const ONE_WISH: Duration = Duration::from_millis(500);

/// How long a thread that has read or written waits for more of that.
const THREAD_KEPT: Duration = Duration::from_millis(100);

/// Options that every role has.
#[derive(Args, Clone, Debug)]
pub struct ProcessArgs {
    /// Names the job; a process of another job is refused.
    #[arg(long, env = "PS_JOB_ID", default_value = "default")]
    pub job_id: String,
    /// How much is written to stderr: error, warn, info, debug or trace.
    #[arg(long, env = "PS_LOG", default_value = "info")]
    pub log: LevelFilter,
    /// TOML file with options by their long names; flags and PS_* variables win over it.
    #[arg(long, env = "PS_CONFIG", value_name = "FILE")]
    pub config: Option<std::path::PathBuf>,
    /// Seconds in which all is over after a signal: what is not saved by then is lost. A second signal
    /// ends at once.
    #[arg(long, env = "PS_STOP_TIMEOUT_S", value_name = "S", default_value_t = 9,
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub stop_timeout_s: u64,
    /// Leave when standard input ends: set by a parent that must not leave orphans.
    #[arg(long, hide = true)]
    pub exit_with_parent: bool,
    /// Say how far the job is in lines on standard output, for the parent to show: one process draws on a terminal.
    #[arg(long, hide = true)]
    pub progress_to_parent: bool,
    /// Whether the log is never coloured, also on a terminal: a container's may be one that nobody
    /// sees.
    #[arg(skip)]
    pub plain: bool,
}

impl ProcessArgs {
    /// What of the time after a signal is for what.
    pub fn stop_times(&self) -> StopTimes {
        StopTimes::of(Duration::from_secs(self.stop_timeout_s))
    }
}

/// A command line that was understood.
#[derive(Clone, Debug)]
pub struct Parsed<A> {
    /// The options.
    pub args: A,
    /// As texts, for other processes that have the same options.
    pub matches: ArgMatches,
}

/// Parses the command line of a program: flags over environment over file over defaults. An empty variable is one that is not
/// set, and one that is probably misspelt is told.
///
/// # Errors
/// The exit code to leave with; the message was printed.
pub fn parse<A: Parser>(args: impl IntoIterator<Item = OsString>) -> Result<Parsed<A>, ExitCode> {
    crate::variables::tell_misspelt();
    parse_with(args, &[]).map_err(|unparsed| unparsed.print())
}

/// As [`parse`], but nothing is printed, and what a launcher says lies in layers over the file.
///
/// # Errors
/// The command line, the file or a layer is wrong, or help was asked for.
pub fn parse_with<A: Parser>(
    args: impl IntoIterator<Item = OsString>,
    launcher: &[layers::Layer],
) -> Result<Parsed<A>, Unparsed> {
    let args: Vec<OsString> = args.into_iter().collect();
    let command = layers::apply(A::command(), &args, launcher).map_err(Unparsed::Other)?;
    let command = crate::variables::without_empty(command);
    let parsed = command.try_get_matches_from(args).and_then(|matches| {
        let args = A::from_arg_matches(&matches)?;
        Ok(Parsed { args, matches })
    });
    parsed.map_err(|error| Unparsed::Clap(Box::new(error)))
}

/// What runs a role's tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tasks {
    /// One thread, so that what a transfer wakes need not wake another thread first: for a worker,
    /// whose computation has threads of its own.
    OneThread,
    /// One thread, too, and another one that takes over where it waits for a disk: for many small calls
    /// that one state answers. More threads would cost each call wake-ups and bring nothing.
    OneThreadAtATime,
    /// A thread for each core: for what writes files beside its calls.
    ThreadPerCore,
}

/// Runs a role in a tokio runtime with logging, signals and the real outside. A second signal ends it
/// where it is.
///
/// The role gets an [`Outside`] and a [`Shutdown`], and returns what the process exits with.
pub fn run<F, R>(name: &str, process: &ProcessArgs, tasks: Tasks, role: F) -> ExitCode
where
    F: FnOnce(Outside, Shutdown) -> R,
    R: Future<Output = anyhow::Result<u8>>,
{
    block_on(name, process, tasks, async {
        let (shutdown, again) = signals(process.exit_with_parent)?;
        tokio::select! {
            biased;
            signal = again => {
                tracing::warn!("a second signal: leaving at once, whatever is not saved");
                Ok(signal.exit_code())
            }
            ended = role(outside(), shutdown) => ended,
        }
    })
}

/// As [`run`], for who has processes to end before itself, and listens for a second signal.
pub fn supervise<F, R>(name: &str, process: &ProcessArgs, tasks: Tasks, supervisor: F) -> ExitCode
where
    F: FnOnce(Outside, Shutdown) -> R,
    R: Future<Output = anyhow::Result<u8>>,
{
    block_on(name, process, tasks, async {
        let (shutdown, _) = signals(process.exit_with_parent)?;
        supervisor(outside(), shutdown).await
    })
}

fn block_on(
    name: &str,
    process: &ProcessArgs,
    tasks: Tasks,
    work: impl Future<Output = anyhow::Result<u8>>,
) -> ExitCode {
    start_logging(process.log, process.plain);
    ps_runtime::descriptors::raise_limit();
    let mut builder = match tasks {
        Tasks::OneThread => tokio::runtime::Builder::new_current_thread(),
        Tasks::OneThreadAtATime | Tasks::ThreadPerCore => {
            tokio::runtime::Builder::new_multi_thread()
        }
    };
    if tasks == Tasks::OneThreadAtATime {
        builder.worker_threads(1);
    }
    // What a thread leaves that has read gigabytes goes back to the system when it ends.
    builder.thread_keep_alive(THREAD_KEPT);
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {name}: starting the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(work);
    // Nothing that still runs in the background may hold the process.
    runtime.shutdown_background();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            terminal::print_error(&format!("error: {name}: {}", causes(&error)));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, each said once: many errors already name their cause themselves.
pub fn causes(error: &anyhow::Error) -> String {
    error.chain().skip(1).map(ToString::to_string).fold(error.to_string(), |text, cause| {
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

/// The real world.
fn outside() -> Outside {
    Outside {
        connector: Connector::local_first(),
        clock: SystemClock::start(),
        seed: rand::random(),
        metrics: Arc::new(terminal::print),
    }
}

/// Listens for Ctrl-C and SIGTERM, and for the parent's end when asked to. The second signal is told
/// by the future: never, if there is none.
fn signals(exit_with_parent: bool) -> anyhow::Result<(Shutdown, impl Future<Output = Signal>)> {
    use tokio::signal::unix::{SignalKind, signal};
    let (trigger, shutdown) = Shutdown::new();
    let trigger = Arc::new(trigger);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (second, again) = oneshot::channel();
    let on_signal = trigger.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                biased;
                _ = interrupt.recv() => Signal::Interrupt,
                _ = terminate.recv() => Signal::Terminate,
            }
        };
        on_signal.trigger(next().await);
        let first = Instant::now();
        loop {
            let signal = next().await;
            if first.elapsed() >= ONE_WISH {
                let _ = second.send(signal);
                return;
            }
        }
    });
    if exit_with_parent {
        // A thread of its own: it blocks until the parent is gone, and must not hold the runtime.
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            trigger.trigger(Signal::ParentGone);
        });
    }
    let again = async {
        match again.await {
            Ok(signal) => signal,
            Err(_) => std::future::pending().await,
        }
    };
    Ok((shutdown, again))
}

/// Logs to stderr: plain lines with the time of day, which several processes' lines can be ordered by,
/// coloured on a terminal unless they must not be. [`run`] and [`supervise`] do it.
pub fn start_logging(level: LevelFilter, plain: bool) {
    use std::io::IsTerminal;
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(|| LogWriter)
        .with_ansi(!plain && std::io::stderr().is_terminal())
        // Nobody may read them any more, and saying so there would be a panic.
        .log_internal_errors(false)
        .with_target(false)
        .with_timer(tracing_subscriber::fmt::time::SystemTime)
        .with_filter(level);
    // A second call in one process (tests) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(layer).with(ours_only()).try_init();
}

/// Libraries below us speak only when something is wrong.
fn ours_only() -> tracing_subscriber::filter::Targets {
    tracing_subscriber::filter::Targets::new()
        .with_default(LevelFilter::WARN)
        .with_targets(["ps_", "psrun"].map(|target| (target, LevelFilter::TRACE)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_cause_is_said_once() {
        let named = anyhow!("disk full").context("saving x: disk full");
        assert_eq!(causes(&named), "saving x: disk full");
        assert_eq!(causes(&anyhow!("disk full").context("saving x")), "saving x: disk full");
    }
}
