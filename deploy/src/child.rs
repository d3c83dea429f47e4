//! One process of the job: started, fed with signals, waited for, heard.

use crate::complaint::Complaint;
use crate::end::End;
use crate::logs::Destination;
use crate::name::{Name, Role};
use crate::orphans::Children;
use crate::plan::Process;
use crate::streams::{self, Ending, Heard};
use anyhow::Context;
use ps_runtime::Signal;
use std::path::Path;
use std::process::Stdio;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What happens to processes.
#[derive(Debug)]
pub enum Event {
    /// It has what it needs, and listens here if it listens.
    Ready(Name, Option<String>),
    /// It ended, and was waited for.
    Exited(Name, End),
}

/// What is sent to a process.
#[derive(Clone, Copy, Debug)]
enum Order {
    Pass(Signal),
    Kill,
}

/// A process that was started.
#[derive(Debug)]
pub struct Running {
    /// Its process id.
    pub pid: u32,
    /// Where its log goes.
    pub log: Destination,
    /// What it complained of.
    pub complaint: Complaint,
    /// Where it listens, once it has said so.
    pub address: Option<String>,
    orders: mpsc::UnboundedSender<Order>,
    readers: Vec<JoinHandle<()>>,
    /// Its end tells the process that we are gone, however we ended.
    _stdin: Option<ChildStdin>,
}

impl Running {
    /// Starts a process of this program; what happens to it goes to `events`.
    ///
    /// # Errors
    /// The system refuses to start it.
    pub fn start(
        program: &Path,
        process: &Process,
        log: Destination,
        events: &mpsc::UnboundedSender<Event>,
        ending: &Ending,
        children: &Children,
    ) -> anyhow::Result<Self> {
        let name = process.name;
        let mut command = command(program, process, &log);
        let mut child = children
            .spawn(&mut command)
            .with_context(|| format!("starting {name} with {}", program.display()))?;
        let stdin = child.stdin.take();
        let complaint = Complaint::default();
        let heard = heard(process);
        let readers = readers(&mut child, (name, heard), &log, events, ending, &complaint);
        let (orders, inbox) = mpsc::unbounded_channel();
        let pid = child.id().unwrap_or_default();
        tokio::spawn(wait(child, name, inbox, events.clone(), children.clone()));
        Ok(Self { pid, log, complaint, address: None, orders, readers, _stdin: stdin })
    }

    /// Passes a signal on; a process that is gone already does not mind.
    pub fn pass(&self, signal: Signal) {
        let _ = self.orders.send(Order::Pass(signal));
    }

    /// Kills it.
    pub fn kill(&self) {
        let _ = self.orders.send(Order::Kill);
    }

    /// What still reads its output, once it has ended; its standard input is closed.
    pub fn into_readers(self) -> Vec<JoinHandle<()>> {
        self.readers
    }
}

/// The program as the role that the process is.
fn command(program: &Path, process: &Process, log: &Destination) -> Command {
    let mut command = Command::new(program);
    command.args(&process.args);
    // Ours: what they say is among the job's options.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PS_") {
            command.env_remove(&name);
        }
    }
    if let Some(threads) = process.threads {
        command.envs(ps_worker::threads::environment(threads));
    }
    let terminal = *log == Destination::Terminal;
    let stderr = if terminal { Stdio::inherit() } else { Stdio::piped() };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
    // A group of its own: a terminal's Ctrl-C goes to our group only, and each process gets it
    // from us, exactly once, whether it came from a terminal, from `kill` or from `docker stop`.
    command.process_group(0).kill_on_drop(true);
    command
}

/// What becomes of what it prints.
fn heard(process: &Process) -> Heard {
    match process.name.role {
        Role::Master => Heard::Metrics,
        _ if process.has_program() => Heard::Program,
        _ => Heard::Ready,
    }
}

/// Starts the tasks that read what the process writes.
fn readers(
    child: &mut Child,
    (name, heard): (Name, Heard),
    log: &Destination,
    events: &mpsc::UnboundedSender<Event>,
    ending: &Ending,
    complaint: &Complaint,
) -> Vec<JoinHandle<()>> {
    let mut readers = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let events = events.clone();
        readers.push(tokio::spawn(async move {
            let ready = |address| {
                let _ = events.send(Event::Ready(name, address));
            };
            streams::read_stdout(stdout, heard, ready).await;
        }));
    }
    if let Some(stderr) = child.stderr.take() {
        let (log, prefix, ending) = (log.clone(), format!("[{name}]"), ending.clone());
        let complaint = complaint.clone();
        readers.push(tokio::spawn(async move {
            streams::read_stderr(stderr, &log, &prefix, &ending, &complaint).await;
        }));
    }
    readers
}

/// Owns the process until it ends, so that no signal can reach a process id that was given to
/// another process since.
async fn wait(
    mut child: Child,
    name: Name,
    mut orders: mpsc::UnboundedReceiver<Order>,
    events: mpsc::UnboundedSender<Event>,
    children: Children,
) {
    let pid = child.id();
    let end = loop {
        tokio::select! {
            biased;
            status = child.wait() => break status.map_or(End::Killed(0), End::from),
            Some(order) = orders.recv() => send(&child, order),
        }
    };
    children.waited_for(pid);
    let _ = events.send(Event::Exited(name, end));
}

fn send(child: &Child, order: Order) {
    use rustix::process;
    let signal = match order {
        Order::Pass(Signal::Interrupt) => process::Signal::INT,
        Order::Pass(Signal::Terminate) => process::Signal::TERM,
        Order::Kill => process::Signal::KILL,
    };
    let pid = child.id().and_then(|id| process::Pid::from_raw(id.cast_signed()));
    if let Some(pid) = pid {
        let _ = process::kill_process(pid, signal);
    }
}
