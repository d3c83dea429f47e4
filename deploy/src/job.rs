//! Runs the processes of a plan from their start to the last one's end.

mod chaos;
mod reports;
mod restarts;

use crate::child::{Event, JobContext, ProcessHandle};
use crate::exit::Exit;
use crate::last_words::LastWords;
use crate::logs::Logs;
use crate::name::{Name, Role};
use crate::outcome::Outcome;
use crate::plan::{Lead, Plan};
use crate::process::Process;
use crate::signals::Signals;
use crate::supervision::{Action, Supervision};
use crate::terminal;
use chaos::Chaos;
use ps_cli::orphans::{Children, Orphans};
use ps_cli::terminal::Bar;
use ps_runtime::{Outside, Shutdown};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long the master may take to say where it listens.
const MASTER_START: Duration = Duration::from_secs(30);

/// Who has worked for so long is started again at once, however often it was before.
const LONG: Duration = Duration::from_secs(30);

/// How long what an ended process wrote may take to arrive.
const READ_TO_END: Duration = Duration::from_secs(2);

/// How a whole job ended.
#[derive(Debug)]
pub struct Ended {
    /// What `psrun` exits with, or why the job failed.
    pub result: anyhow::Result<u8>,
    /// Who was killed that the job cannot do without, if it ended for that.
    pub lost: Option<String>,
}

/// Runs a whole job, all of its processes with this program.
///
/// # Errors
/// Signals cannot be listened for.
pub async fn run(
    program: &Path,
    plan: &Plan,
    logs: &Logs,
    outside: Outside,
    shutdown: Shutdown,
) -> anyhow::Result<Ended> {
    let children = Children::default();
    let adopting = tokio::spawn(children.clone().adopt_orphans(Orphans::Kill));
    let ended = run_part(program, plan, logs, outside, shutdown, children).await;
    adopting.abort();
    let mut ended = ended?;
    let lost = ended.lost.take().or_else(|| ended.has_no_way_back());
    let result = match ended.verdict {
        // Its own last line is far above.
        Ok(1) => Err(anyhow::anyhow!(ended.master_words())),
        Err(ref error) => {
            let reason = ended.failure_reason("");
            Err(anyhow::anyhow!(reason.unwrap_or_else(|| ps_cli::process::causes(error))))
        }
        Ok(code) => Ok(code),
    };
    Ok(Ended { result, lost })
}

/// Runs the processes of a plan, which may be one host's part of a job.
///
/// # Errors
/// Signals cannot be listened for.
pub async fn run_part(
    program: &Path,
    plan: &Plan,
    logs: &Logs,
    outside: Outside,
    shutdown: Shutdown,
    children: Children,
) -> anyhow::Result<Outcome> {
    let mut signals = Signals::new(shutdown)?;
    let (events, mut inbox) = mpsc::unbounded_channel();
    let mut job = Job {
        program,
        plan,
        logs,
        processes: BTreeMap::new(),
        bar: Some(logs).filter(|logs| logs.has_bar()).and_then(|_| Bar::on_terminal()),
        supervision: Supervision::new(plan.rules),
        context: JobContext { events, is_ending: Arc::default(), children },
        deadline: None,
        master: None,
        restarts: Vec::new(),
        working_since: BTreeMap::new(),
        chaos: plan.chaos.map(|every| Chaos::new(every, outside.seed)),
        abandoned: false,
        outside,
        failed: Vec::new(),
    };
    tracing::info!("job {}: {}", plan.job, plan.summary);
    if let Some(signal) = signals.already() {
        return Ok(Outcome::of_signal(signal));
    }
    match &plan.lead {
        Lead::Here(master) => {
            job.deadline = Some(Instant::now() + MASTER_START);
            job.start(master);
        }
        Lead::At(address) => job.start_members(address),
    }
    while !job.supervision.is_over() && !job.abandoned {
        let actions = tokio::select! {
            biased;
            signal = signals.next() => job.supervision.signal(signal),
            Some(event) = inbox.recv() => job.handle(event),
            () = sleep_until(job.deadline) => job.supervision.deadline(),
            () = sleep_until(job.next_restart()) => {
                job.restart();
                Vec::new()
            }
            () = sleep_until(job.chaos.as_ref().map(Chaos::next)) => {
                job.wreak();
                Vec::new()
            }
        };
        let more = job.report(&actions).await;
        job.act(actions);
        job.act(more);
    }
    Ok(job.finish().await)
}

/// The processes and what is known of them.
struct Job<'a> {
    program: &'a Path,
    plan: &'a Plan,
    logs: &'a Logs,
    processes: BTreeMap<Name, ProcessHandle>,
    /// How far the job is, on a terminal; the master says it.
    bar: Option<Bar>,
    supervision: Supervision,
    context: JobContext,
    deadline: Option<Instant>,
    /// Where the master is, once it is known.
    master: Option<String>,
    /// Who is to be started again, and when.
    restarts: Vec<(Instant, Name)>,
    working_since: BTreeMap<Name, Instant>,
    chaos: Option<Chaos>,
    abandoned: bool,
    outside: Outside,
    failed: Vec<Name>,
}

impl Job<'_> {
    fn start(&mut self, process: &Process) {
        let name = process.name;
        let log = self.logs.destination(name);
        if !self.processes.contains_key(&name) {
            log.begin();
        }
        let mut process = process.clone();
        process.fail_point = self.plan.fail_points.next(name);
        if name.role == Role::Master && self.bar.is_some() {
            process.args.insert(1, "--progress-to-parent".into());
        }
        match ProcessHandle::start(self.program, &process, log, &self.context) {
            Ok(mut handle) => {
                self.supervision.started(name);
                // Until it says so: where it was before.
                handle.address = self.processes.get(&name).and_then(|it| it.address.clone());
                self.processes.insert(name, handle);
            }
            Err(error) => {
                let actions = self.supervision.not_started(format!("{error:#}"));
                self.act(actions);
            }
        }
    }

    fn start_members(&mut self, master: &str) {
        self.master = Some(master.to_owned());
        for process in self.plan.members(master) {
            if !self.supervision.is_ending() {
                self.start(&process);
            }
        }
    }

    fn handle(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Ready(name, address) => {
                self.ready(name, address);
                Vec::new()
            }
            Event::Progress(share, text) => {
                if let Some(bar) = &self.bar {
                    bar.show(share, text);
                }
                Vec::new()
            }
            Event::Exited(name, exit) => {
                // What fails while the job is being ended is a consequence; the master's words count.
                let is_cause = !self.supervision.is_ending() || name.role == Role::Master;
                let who = self.describe(name, exit);
                if self.is_told(name) {
                    self.supervision.obeyed(name);
                }
                let since = self.working_since.remove(&name);
                if since.is_some_and(|since| since.elapsed() >= LONG) {
                    self.supervision.has_worked_long(name);
                }
                let actions = self.supervision.exited(name, exit, &who);
                let comes_back = actions.iter().any(|it| matches!(it, Action::Restart(..)));
                if name.role == Role::Master && !comes_back {
                    self.bar = None;
                }
                if is_cause && exit != Exit::Code(0) && !comes_back {
                    self.failed.push(name);
                }
                actions
            }
        }
    }

    /// Notes that a process is ready, and where; the master's address is what the others wait for.
    fn ready(&mut self, name: Name, address: Option<String>) {
        self.supervision.is_ready(name);
        self.working_since.insert(name, Instant::now());
        self.chaos.iter_mut().for_each(|chaos| chaos.works(name));
        if let Some(running) = self.processes.get_mut(&name) {
            running.address.clone_from(&address);
        }
        // One that was started again is where it was.
        let is_first = name.role == Role::Master && self.master.is_none();
        let is_start = is_first && !self.supervision.is_ending();
        if let Some(master) = address.filter(|_| is_start) {
            self.deadline = None;
            self.start_members(&master);
        }
    }

    fn act(&mut self, actions: Vec<Action>) {
        self.context.is_ending.store(self.supervision.is_ending(), Ordering::Relaxed);
        for action in actions {
            match action {
                Action::Pass(signal) => self.processes.values().for_each(|p| p.pass(signal)),
                Action::Kill => self.processes.values().for_each(ProcessHandle::kill),
                Action::Deadline(time) => self.deadline = Some(Instant::now() + time),
                // Before: see `report`.
                Action::Report(..) | Action::ReportWorkers(..) | Action::ReportEnded(..) => (),
                Action::Restart(name, pause) => {
                    self.restarts.push((Instant::now() + pause, name));
                }
                Action::Say(text) => self.logs.say(&text),
                Action::Abandon => self.abandoned = true,
            }
        }
    }

    /// Whether a process ended because the master told it that the job has failed.
    fn is_told(&self, name: Name) -> bool {
        let words = self.processes.get(&name).and_then(|it| it.last_words.message());
        name.role != Role::Master && words.is_some_and(|words| Outcome::is_told(&words))
    }

    /// A process as people look for it: what it was, where it was, where its log is.
    fn describe(&self, name: Name, exit: Exit) -> String {
        let Some(running) = self.processes.get(&name) else {
            return name.to_string();
        };
        let mut about = format!("pid {}", running.pid);
        if !self.plan.host.is_empty() {
            about = format!("host {}, {about}", self.plan.host);
        }
        if let Some(address) = &running.address {
            about = format!("{about}, {address}");
        }
        if let Some(log) = running.log.file()
            && exit != Exit::Code(0)
        {
            about = format!("{about}, log {}", log.display());
        }
        format!("{name} ({about})")
    }

    async fn finish(mut self) -> Outcome {
        if let Some(mut chaos) = self.chaos.take() {
            // Whoever reads no further has seen enough.
            let _ = terminal::print_metrics(&chaos.metrics());
            self.logs.say(&chaos.words());
        }
        let (mut last_words, mut readers) = (BTreeMap::new(), Vec::new());
        for (name, process) in self.processes {
            last_words.insert(name, process.last_words.clone());
            readers.extend(process.into_readers());
        }
        self.context.children.end_descendants().await;
        let read_to_end = async {
            for reader in readers {
                let _ = reader.await;
            }
        };
        // Whatever still holds a pipe must not hold us, least of all when somebody is about to kill.
        let is_hurried = self.supervision.is_hurried();
        let timeout = if is_hurried { READ_TO_END / 10 } else { READ_TO_END };
        let _ = tokio::time::timeout(timeout, read_to_end).await;
        let words = |name: &Name| last_words.get(name).cloned().unwrap_or_default();
        let failed: Vec<_> = self.failed.into_iter().map(|name| (name, words(&name))).collect();
        // Of the others it may be much the same.
        let printed = |(_, words): &&(Name, LastWords)| is_own_end(words);
        if let Some((name, words)) = failed.iter().find(printed) {
            say_again(self.logs, *name, words);
        }
        let failed = failed.into_iter().map(|(name, words)| (name, words.message()));
        let lost = self.supervision.take_lost();
        let verdict = self.supervision.verdict();
        self.plan.forget_ended(matches!(verdict, Ok(0)));
        Outcome { verdict, failed: failed.collect(), lost }
    }
}

/// Whether the process has something of its own to say of its end.
fn is_own_end(words: &LastWords) -> bool {
    let is_told = words.message().is_some_and(|message| Outcome::is_told(&message));
    !words.printed().is_empty() && !is_told
}

/// What a failed process printed last stands where people look last: the others' lines lie between.
fn say_again(logs: &Logs, name: Name, words: &LastWords) {
    logs.say(&format!("what {name} printed last:"));
    for line in words.printed() {
        terminal::print(&format!("[{name}] {line}"));
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
