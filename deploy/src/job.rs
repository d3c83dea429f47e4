//! Runs the processes of a plan from their start to the last one's end.

use crate::child::{Event, Running};
use crate::end::End;
use crate::name::{Name, Role};
use crate::output::Output;
use crate::plan::{Plan, Process};
use crate::streams::{Ending, say};
use crate::supervision::{Action, Supervision};
use anyhow::Context;
use ps_runtime::{Shutdown, Signal};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long the master may take to say where it listens.
const MASTER_START: Duration = Duration::from_secs(30);

/// How long what an ended process wrote may take to arrive.
const HEAR_OUT: Duration = Duration::from_secs(2);

/// Runs the job, all of its processes with this program; the answer is what `psrun` exits with.
///
/// # Errors
/// The job failed; the message names the process, or what could not be started.
pub async fn run(
    program: &Path,
    plan: &Plan,
    output: &Output,
    shutdown: Shutdown,
) -> anyhow::Result<u8> {
    let mut signals = Signals::new(shutdown)?;
    let (sender, mut events) = mpsc::unbounded_channel();
    let mut job = Job {
        program,
        plan,
        output,
        processes: BTreeMap::new(),
        supervision: Supervision::new(),
        events: sender,
        deadline: Some(Instant::now() + MASTER_START),
        abandoned: false,
        ending: Ending::default(),
    };
    tracing::info!(
        "job {}: {} servers, {} workers, a master and an evaluator; output in {}",
        plan.job,
        plan.servers,
        plan.workers,
        output.folder().display()
    );
    if let Some(signal) = signals.already() {
        return Ok(signal.exit_code());
    }
    job.start(&plan.master());
    while !job.supervision.is_over() && !job.abandoned {
        let actions = tokio::select! {
            Some(event) = events.recv() => job.handle(event),
            signal = signals.next() => job.supervision.signal(signal),
            () = sleep_until(job.deadline) => job.supervision.deadline(),
        };
        job.act(actions);
    }
    job.finish().await
}

/// The processes and what is known of them.
struct Job<'a> {
    program: &'a Path,
    plan: &'a Plan,
    output: &'a Output,
    processes: BTreeMap<Name, Running>,
    supervision: Supervision,
    events: mpsc::UnboundedSender<Event>,
    deadline: Option<Instant>,
    abandoned: bool,
    ending: Ending,
}

impl Job<'_> {
    fn start(&mut self, process: &Process) {
        let name = process.name;
        match Running::start(
            self.program,
            process,
            self.output.log(name),
            &self.events,
            &self.ending,
        ) {
            Ok(running) => {
                self.supervision.started(name);
                self.processes.insert(name, running);
            }
            Err(error) => {
                let actions = self.supervision.not_started(format!("{error:#}"));
                self.act(actions);
            }
        }
    }

    fn handle(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Listening(name, address) => self.listening(name, address),
            Event::Exited(name, end) => {
                let who = self.describe(name, end);
                self.supervision.exited(name, end, &who)
            }
        }
    }

    /// Notes the address of a process; the master's is what the others wait for.
    fn listening(&mut self, name: Name, address: String) -> Vec<Action> {
        let is_start = name.role == Role::Master && !self.supervision.is_ending();
        if is_start {
            self.deadline = None;
            for process in self.plan.members(&address) {
                if !self.supervision.is_ending() {
                    self.start(&process);
                }
            }
        }
        if let Some(running) = self.processes.get_mut(&name) {
            running.address = Some(address);
        }
        Vec::new()
    }

    fn act(&mut self, actions: Vec<Action>) {
        self.ending.store(self.supervision.is_ending(), Ordering::Relaxed);
        for action in actions {
            match action {
                Action::Pass(signal) => self.processes.values().for_each(|p| p.pass(signal)),
                Action::Kill => self.processes.values().for_each(Running::kill),
                Action::Deadline(time) => self.deadline = Some(Instant::now() + time),
                Action::Say(text) => say(&format!("psrun: {text}")),
                Action::Abandon => self.abandoned = true,
            }
        }
    }

    /// A process as people look for it: what it was, where it was, where its log is.
    fn describe(&self, name: Name, end: End) -> String {
        let Some(running) = self.processes.get(&name) else {
            return name.to_string();
        };
        let mut about = format!("pid {}", running.pid);
        if let Some(address) = &running.address {
            about = format!("{about}, {address}");
        }
        if let Some(log) = running.log.as_ref().filter(|_| end != End::Code(0)) {
            about = format!("{about}, log {}", log.display());
        }
        format!("{name} ({about})")
    }

    async fn finish(self) -> anyhow::Result<u8> {
        let processes = self.processes.into_values();
        let readers: Vec<_> = processes.flat_map(Running::into_readers).collect();
        let heard = async {
            for reader in readers {
                let _ = reader.await;
            }
        };
        // Whatever still holds a pipe must not hold us.
        let _ = tokio::time::timeout(HEAR_OUT, heard).await;
        self.supervision.verdict()
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Every wish that the job ends, also the second one.
struct Signals {
    shutdown: Option<Shutdown>,
    interrupt: unix::Signal,
    terminate: unix::Signal,
    /// The first signal also arrives through `shutdown`, which knows of our parent's end as well.
    first_seen: bool,
}

impl Signals {
    fn new(shutdown: Shutdown) -> anyhow::Result<Self> {
        let listen = |kind| unix::signal(kind).context("listening for signals");
        Ok(Self {
            shutdown: Some(shutdown),
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            first_seen: false,
        })
    }

    /// The signal that came while the job was being prepared.
    fn already(&self) -> Option<Signal> {
        self.shutdown.as_ref().and_then(Shutdown::signal)
    }

    async fn next(&mut self) -> Signal {
        loop {
            let signal = tokio::select! {
                signal = first(&mut self.shutdown) => return signal,
                _ = self.interrupt.recv() => Signal::Interrupt,
                _ = self.terminate.recv() => Signal::Terminate,
            };
            if std::mem::replace(&mut self.first_seen, true) {
                return signal;
            }
        }
    }
}

/// What `shutdown` tells, once.
async fn first(shutdown: &mut Option<Shutdown>) -> Signal {
    let Some(waiting) = shutdown else {
        return std::future::pending().await;
    };
    let signal = waiting.wait().await;
    *shutdown = None;
    signal
}
