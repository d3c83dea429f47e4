//! What follows from a process that ends, a signal that comes or a deadline that passes.
//!
//! Pure: [`crate::job`] tells it what happened and does what it says.

mod members;
mod restarts;
mod rules;

pub use rules::Rules;

use crate::exit::Exit;
use crate::name::{Name, Role};
use members::gone;
use ps_runtime::Signal;
use restarts::Restarts;
use std::collections::BTreeSet;
use std::time::Duration;

/// Time to leave once the master has told everybody to.
const AFTER_END: Duration = Duration::from_secs(5);
/// Time to leave when a part of the weights or the master is lost, so that nothing can be saved.
const AFTER_LOSS: Duration = Duration::from_secs(2);

/// What is wrong with a worker that has not got its data and model.
const UNFIT: &str = " before it could train";
/// What is wrong with a server that does not listen.
const NOT_SERVING: &str = "before it could serve";
const WEIGHTS_LOST: &str = "its part of the weights is lost";
const NO_WORKER: &str = "no worker is left";
const PROGRAM_FAILED: &str = "its program failed";

/// Time for the master to end after a member that it told to leave.
const MASTER_SAYS_WHY: Duration = Duration::from_secs(5);

/// Something to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Pass the signal on to every process that runs.
    Pass(Signal),
    /// Kill every process that runs.
    Kill,
    /// Call [`Supervision::deadline`] after this time, instead of at any time set earlier.
    Deadline(Duration),
    /// Tell the master why this host cannot do its part, before anything else is done.
    Report(Name, String),
    /// Tell the master at once that the workers here have ended, this one last: it would wait for their leases.
    ReportWorkers(Name, String),
    /// Tell the master that this one has ended, and how, and that the job goes on: its work is for others now.
    ReportEnded(Name, Exit),
    /// Start it again, after this time.
    Restart(Name, Duration),
    /// Tell people.
    Say(String),
    /// Wait for nobody any more.
    Abandon,
}

/// The state of a job's processes.
#[derive(Debug)]
pub struct Supervision {
    rules: Rules,
    running: BTreeSet<Name>,
    ready: BTreeSet<Name>,
    /// Who ended because the master told it that the job has failed: it says why itself.
    obedient: BTreeSet<Name>,
    restarts: Restarts,
    /// Workers that ended before they were told to.
    lost_workers: BTreeSet<u32>,
    /// A worker was told to leave, so that the job is coming to its end.
    worker_done: bool,
    ending: bool,
    killed: bool,
    failure: Option<String>,
    /// What is lost with the first member that exited with a code, unless the master explains it.
    unexplained: Option<String>,
    /// The signal that we were given.
    signal: Option<Signal>,
    /// Whether everybody was told to end: told twice, they would end at once.
    passed: bool,
    master: Option<Exit>,
    /// Without a master: how the process ended that the master, elsewhere, lets leave.
    member: Option<Exit>,
}

impl Supervision {
    /// Nothing runs yet.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            running: BTreeSet::new(),
            ready: BTreeSet::new(),
            obedient: BTreeSet::new(),
            restarts: Restarts::default(),
            lost_workers: BTreeSet::new(),
            worker_done: false,
            ending: false,
            killed: false,
            failure: None,
            unexplained: None,
            signal: None,
            passed: false,
            master: None,
            member: None,
        }
    }

    /// A process was started.
    pub fn started(&mut self, name: Name) {
        self.running.insert(name);
    }

    /// A process has what it needs for its work.
    pub fn is_ready(&mut self, name: Name) {
        self.ready.insert(name);
    }

    /// Whether a process of this kind runs.
    fn runs(&self, role: Role) -> bool {
        self.running.iter().any(|name| name.role == role)
    }

    /// Whether nobody is left.
    pub fn is_over(&self) -> bool {
        self.running.is_empty()
    }

    /// Whether somebody wants us gone, or nobody is left to wait for.
    pub fn is_hurried(&self) -> bool {
        self.signal.is_some() || self.killed
    }

    /// Whether the job is being ended, so that nobody is to be started.
    pub fn is_ending(&self) -> bool {
        self.ending
    }

    /// A process ended; `who` describes it for people.
    pub fn exited(&mut self, name: Name, exit: Exit, who: &str) -> Vec<Action> {
        self.running.remove(&name);
        if name.role == Role::Master {
            self.master = Some(exit);
        }
        if let Some(actions) = self.restarted(name, exit, who) {
            return actions;
        }
        // A host's server hears from the master what becomes of the job; without one, its last worker.
        let nobody_else = !self.runs(Role::Server) && !self.runs(Role::Worker);
        let decides = name.role == Role::Server || nobody_else;
        if !self.rules.has_master && decides {
            self.member.get_or_insert(exit);
        }
        if self.ending {
            return self.exited_while_ending(name, exit, who);
        }
        let is_unfit = self.rules.is_unchecked && !self.ready.contains(&name);
        let is_told = self.obedient.contains(&name) || matches!(exit, Exit::Code(0 | 130 | 143));
        if name.role == Role::Worker && !is_told {
            self.lost_workers.insert(name.index);
        }
        if let Some(loss) = self.loss_of_workers(name, exit).filter(|_| !is_told) {
            return self.workers_lost(name, format!("{who} {exit}: {loss}"));
        }
        // The master ends soon, and its words and its code count.
        if self.rules.has_master && self.runs(Role::Master) && self.obedient.contains(&name) {
            return vec![Action::Deadline(MASTER_SAYS_WHY)];
        }
        match (name.role, exit) {
            (Role::Worker, Exit::Code(_)) if is_unfit && !is_told => {
                let why = match self.rules.has_program {
                    true => format!("{who} {exit}: {PROGRAM_FAILED}"),
                    false => format!("{who} {exit}{UNFIT}"),
                };
                self.report(name, why)
            }
            (Role::Server, Exit::Code(_)) if !self.ready.contains(&name) && !is_told => {
                // The master does not know it yet, and would wait for it.
                self.report(name, format!("{who} {exit} {NOT_SERVING}"))
            }
            _ if !self.rules.has_master && decides => self.released(name, exit, who),
            (Role::Master, _) => self.master_exited(exit, who),
            (Role::Worker, Exit::Code(0)) => {
                self.worker_done = true;
                Vec::new()
            }
            (_, Exit::Code(0)) => Vec::new(),
            (Role::Server, Exit::Code(_)) if self.runs(Role::Master) => {
                self.failed_beside_master(exit, who)
            }
            // Whether anybody needs what it held, the master knows.
            (Role::Server, _) if self.runs(Role::Master) => {
                self.killed_beside_master(name, exit, who)
            }
            // The master would take what we pass on for a wish to stop.
            (Role::Server, _) => self.report(name, format!("{who} {exit}: {WEIGHTS_LOST}")),
            (Role::Evaluator, _) => gone(name, exit, format!("{who} {exit}; training goes on")),
            (Role::Worker, _) if self.unexplained.is_some() => Vec::new(),
            (Role::Worker, _) if !self.trains() => gone(name, exit, format!("{who} {exit}")),
            (Role::Worker, _) => gone(name, exit, format!("{who} {exit}; the others go on")),
        }
    }

    /// The process ended that the master of another host lets leave: the host's part is over.
    fn released(&mut self, name: Name, exit: Exit, who: &str) -> Vec<Action> {
        match exit {
            Exit::Code(0 | 2..) => {
                self.ending = true;
                vec![Action::Deadline(AFTER_END)]
            }
            Exit::Signal(_) if name.role == Role::Server => {
                // The master would wait for it as for one that is only silent.
                self.report(name, format!("{who} {exit}: {WEIGHTS_LOST}"))
            }
            _ => self.fail(format!("{who} {exit}"), AFTER_LOSS),
        }
    }

    fn master_exited(&mut self, exit: Exit, who: &str) -> Vec<Action> {
        match exit {
            // It has told everybody to leave.
            Exit::Code(0) => {
                self.ending = true;
                vec![Action::Deadline(AFTER_END)]
            }
            // It has said why itself, and its code is ours.
            Exit::Code(_) => {
                let mut actions = vec![Action::Say(format!("{who} {exit}: the job is ended"))];
                actions.extend(self.end(AFTER_LOSS));
                actions
            }
            Exit::Signal(_) => self.fail(format!("{who} {exit}: the job is ended"), AFTER_LOSS),
        }
    }

    /// Nothing that ends now changes the course; a death that we did not cause is still news.
    fn exited_while_ending(&mut self, name: Name, exit: Exit, who: &str) -> Vec<Action> {
        let mut actions = Vec::new();
        // Interrupt and terminate are what we passed on, to a process that was just starting.
        let asked = self.killed || matches!(exit, Exit::Signal(2 | 15) | Exit::Code(_));
        if !asked {
            actions.push(Action::Say(format!("{who} {exit}")));
        }
        // Without the master there is nothing to wait for.
        if name.role == Role::Master && !self.killed && !self.running.is_empty() {
            let told = matches!(exit, Exit::Code(_));
            actions.push(Action::Deadline(if told { AFTER_END } else { AFTER_LOSS }));
        }
        actions
    }

    /// A process could not be started, so that the job never begins.
    pub fn not_started(&mut self, why: String) -> Vec<Action> {
        self.fail(why, AFTER_LOSS)
    }

    /// Fails, and tells the master first.
    fn report(&mut self, name: Name, why: String) -> Vec<Action> {
        let mut actions = vec![Action::Report(name, why.clone())];
        actions.extend(self.fail(why, AFTER_LOSS));
        actions
    }

    fn fail(&mut self, why: String, time: Duration) -> Vec<Action> {
        self.failure.get_or_insert(why);
        self.end(time)
    }

    fn end(&mut self, time: Duration) -> Vec<Action> {
        self.ending = true;
        let mut actions = self.pass(Signal::Terminate);
        actions.push(Action::Deadline(time));
        actions
    }

    /// Passes a signal on, unless one was.
    fn pass(&mut self, signal: Signal) -> Vec<Action> {
        let is_first = !std::mem::replace(&mut self.passed, true);
        Vec::from_iter(is_first.then_some(Action::Pass(signal)))
    }

    /// Somebody wants the job to end: the first time in order, the second time at once.
    pub fn signal(&mut self, signal: Signal) -> Vec<Action> {
        if self.signal.is_some() || self.killed {
            return self.kill("a second signal came");
        }
        self.signal = Some(signal);
        if self.ending {
            // The time to leave is set already.
            return self.pass(signal);
        }
        self.ending = true;
        let saving = "signal received: saving the model and leaving; a second signal kills";
        let mut actions = vec![Action::Say(saving.to_owned())];
        actions.extend(self.pass(signal));
        actions.push(Action::Deadline(self.rules.after_signal));
        actions
    }

    /// The time set by [`Action::Deadline`] has passed.
    pub fn deadline(&mut self) -> Vec<Action> {
        if self.killed {
            return vec![Action::Abandon];
        }
        if !self.ending {
            // The master did not end after it: the member had a reason of its own.
            let has_started = self.ready.iter().any(|name| name.role == Role::Master);
            let what = if has_started { "end the job that it called failed" } else { "start" };
            let silent = || format!("the master did not {what}");
            let why = self.unexplained.take().unwrap_or_else(silent);
            return self.fail(format!("{why}, the job is ended"), self.rules.after_signal);
        }
        self.kill("the time to leave is over")
    }

    fn kill(&mut self, why: &str) -> Vec<Action> {
        self.killed = true;
        let names: Vec<String> = self.running.iter().map(Name::to_string).collect();
        if self.runs(Role::Master) {
            let unsaved = format!("{why}: the master was killed, the model may not be saved");
            self.failure.get_or_insert(unsaved);
        }
        let say = format!("{why}: killing {}", names.join(", "));
        vec![Action::Say(say), Action::Kill, Action::Deadline(self.rules.after_kill)]
    }

    /// What `psrun` exits with when all is over.
    ///
    /// # Errors
    /// Why the job failed, when that is not for the master's code to say.
    pub fn verdict(self) -> anyhow::Result<u8> {
        let decided = if self.rules.has_master { self.master } else { self.member };
        let who = if self.rules.has_master { "the master" } else { "the host's part of the job" };
        match (self.failure, decided, self.signal) {
            (Some(failure), ..) => Err(anyhow::anyhow!(failure)),
            // Whatever a member makes of a signal, its host was asked to leave.
            (None, exit, Some(signal)) if !self.rules.has_master && exit != Some(Exit::Code(0)) => {
                Ok(signal.exit_code())
            }
            (None, Some(Exit::Code(code)), _) => Ok(code),
            // It had not begun to listen for the signal that we passed on.
            (None, Some(Exit::Signal(2 | 15)), Some(signal)) => Ok(signal.exit_code()),
            (None, Some(exit), _) => Err(anyhow::anyhow!("{who} {exit}")),
            (None, ..) => Err(anyhow::anyhow!("{who} was never started")),
        }
    }
}

#[cfg(test)]
mod tests;
