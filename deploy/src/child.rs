//! One process of the job: started, fed with signals, waited for, heard.

use crate::exit::Exit;
use crate::last_words::LastWords;
use crate::logs::LogDestination;
use crate::name::{Name, Role};
use crate::process::Process;
use crate::streams::{self, Said, StdoutContent};
use anyhow::Context;
use ps_cli::fail_points;
use ps_cli::orphans::Children;
use ps_runtime::Signal;
use rustix::process::{Pid, Signal as UnixSignal, kill_process};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How long the last line of a process that ended may take to arrive, where others hold its pipe.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What happens to processes.
#[derive(Debug)]
pub enum Event {
    /// It has what it needs, and listens here if it listens.
    Ready(Name, Option<String>),
    /// So much of the job is done, from 0 to 1, and more of it in words.
    Progress(f64, String),
    /// It ended, and was waited for; what it wrote has been read, unless others hold its pipe.
    Exited(Name, Exit),
}

/// What processes share with the job that starts them.
#[derive(Clone, Debug)]
pub struct JobContext {
    /// What happens to processes goes here.
    pub events: mpsc::UnboundedSender<Event>,
    /// Whether the job is ending, so that the errors of its members are consequences, not causes.
    pub is_ending: Arc<AtomicBool>,
    /// Who waits for which process.
    pub children: Children,
}

/// A process that was started.
#[derive(Debug)]
pub struct ProcessHandle {
    /// Its process id.
    pub pid: u32,
    /// Where its log goes.
    pub log: LogDestination,
    /// What it wrote last.
    pub last_words: LastWords,
    /// Where it listens, once it has said so.
    pub address: Option<String>,
    signals: mpsc::UnboundedSender<UnixSignal>,
    readers: Vec<JoinHandle<()>>,
    /// Its end tells the process that we are gone, however we ended.
    _stdin: Option<ChildStdin>,
}

impl ProcessHandle {
    /// Starts a process of this program.
    ///
    /// # Errors
    /// The system refuses to start it.
    pub fn start(
        program: &Path,
        process: &Process,
        log: LogDestination,
        job: &JobContext,
    ) -> anyhow::Result<Self> {
        let name = process.name;
        let mut command = command(program, process);
        let mut child = job
            .children
            .spawn(|| command.spawn(), Child::id)
            .with_context(|| format!("starting {name} with {}", program.display()))?;
        let stdin = child.stdin.take();
        let last_words = LastWords::default();
        let (reading, read) = mpsc::channel(1);
        let readers = read_output(&mut child, process, &log, job, &last_words, &reading);
        let (signals, inbox) = mpsc::unbounded_channel();
        let pid = child.id().unwrap_or_default();
        tokio::spawn(wait(child, name, inbox, job.clone(), read));
        Ok(Self { pid, log, last_words, address: None, signals, readers, _stdin: stdin })
    }

    /// Passes a signal on; a process that is gone already does not mind.
    pub fn pass(&self, signal: Signal) {
        let _ = self.signals.send(match signal {
            Signal::Interrupt => UnixSignal::INT,
            Signal::Terminate | Signal::ParentGone => UnixSignal::TERM,
        });
    }

    /// Kills it.
    pub fn kill(&self) {
        let _ = self.signals.send(UnixSignal::KILL);
    }

    /// What still reads its output, once it has ended; its standard input is closed.
    pub fn into_readers(self) -> Vec<JoinHandle<()>> {
        self.readers
    }
}

/// The program as the role that the process is.
fn command(program: &Path, process: &Process) -> Command {
    let mut command = Command::new(program);
    command.args(&process.args);
    // Ours: what they say is among the job's options.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PS_") {
            command.env_remove(&name);
        }
    }
    command.envs(&process.variables);
    command.envs(process.fail_point.iter().map(|point| (fail_points::VARIABLE, point)));
    if let Some(threads) = process.threads {
        command.envs(ps_worker::threads::environment(threads));
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own: a terminal's Ctrl-C goes to our group only, and each process gets it
    // from us, exactly once, whether it came from a terminal, from `kill` or from `docker stop`.
    command.process_group(0).kill_on_drop(true);
    command
}

/// What it prints.
fn stdout_content(process: &Process) -> StdoutContent {
    match process.name.role {
        Role::Master => StdoutContent::Metrics,
        _ if process.has_program() => StdoutContent::UserProgram,
        _ => StdoutContent::Readiness,
    }
}

/// Starts the tasks that read what the process writes.
fn read_output(
    child: &mut Child,
    process: &Process,
    log: &LogDestination,
    job: &JobContext,
    last_words: &LastWords,
    reading: &mpsc::Sender<()>,
) -> Vec<JoinHandle<()>> {
    let (name, content) = (process.name, stdout_content(process));
    let stdout = child.stdout.take().map(|stdout| {
        let (events, reading) = (job.events.clone(), reading.clone());
        tokio::spawn(async move {
            let _until_the_end = reading;
            let said = |said| {
                let _ = events.send(match said {
                    Said::Ready(address) => Event::Ready(name, address),
                    Said::Progress(share, text) => Event::Progress(share, text),
                });
            };
            streams::read_stdout(stdout, content, &format!("[{name}]"), said).await;
        })
    });
    let stderr = child.stderr.take().map(|stderr| {
        let (log, is_ending, last_words) = (log.clone(), job.is_ending.clone(), last_words.clone());
        let reading = reading.clone();
        tokio::spawn(async move {
            let _until_the_end = reading;
            let prefix = format!("[{name}]");
            streams::read_stderr(stderr, &log, &prefix, &is_ending, &last_words).await;
        })
    });
    stdout.into_iter().chain(stderr).collect()
}

/// Owns the process until it ends, so that no signal can reach a process id that was given to
/// another process since.
async fn wait(
    mut child: Child,
    name: Name,
    mut signals: mpsc::UnboundedReceiver<UnixSignal>,
    job: JobContext,
    mut read: mpsc::Receiver<()>,
) {
    let id = child.id();
    let exit = loop {
        tokio::select! {
            biased;
            status = child.wait() => break status.map_or(Exit::Signal(0), Exit::from),
            Some(signal) = signals.recv() => {
                let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
                if let Some(pid) = pid {
                    let _ = kill_process(pid, signal);
                }
            }
        }
    };
    job.children.waited_for(id);
    // Whoever hears of the end may ask why. Nothing is sent: it closes when all is read.
    let _ = tokio::time::timeout(LAST_WORDS, read.recv()).await;
    let _ = job.events.send(Event::Exited(name, exit));
}
