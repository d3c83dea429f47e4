//! What follows from a process that ends, a signal that comes or a deadline that passes.
//!
//! Pure: [`crate::job`] tells it what happened and does what it says.

use crate::end::End;
use crate::name::{Name, Role};
use ps_runtime::Signal;
use std::collections::BTreeSet;
use std::time::Duration;

/// Time to save the model and leave after a signal: the roles give up by themselves after 8 s.
const AFTER_SIGNAL: Duration = Duration::from_secs(15);
/// Time to leave once the master has told everybody to.
const AFTER_END: Duration = Duration::from_secs(5);
/// Time to leave when a part of the weights or the master is lost, so that nothing can be saved.
const AFTER_LOSS: Duration = Duration::from_secs(2);

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
    /// Tell people.
    Say(String),
    /// Wait for nobody any more.
    Abandon,
}

/// The state of a job's processes.
#[derive(Debug)]
pub struct Supervision {
    running: BTreeSet<Name>,
    /// A worker was told to leave, so that the job is coming to its end.
    worker_done: bool,
    ending: bool,
    killed: bool,
    failure: Option<String>,
    /// What is lost with the first member that exited with a code, unless the master explains it.
    complaint: Option<String>,
    /// The signal that we were given.
    signal: Option<Signal>,
    master: Option<End>,
}

impl Supervision {
    /// Nothing runs yet.
    pub fn new() -> Self {
        Self {
            running: BTreeSet::new(),
            worker_done: false,
            ending: false,
            killed: false,
            failure: None,
            complaint: None,
            signal: None,
            master: None,
        }
    }

    /// A process was started.
    pub fn started(&mut self, name: Name) {
        self.running.insert(name);
    }

    /// Whether a process of this kind runs.
    fn runs(&self, role: Role) -> bool {
        self.running.iter().any(|name| name.role == role)
    }

    /// Whether nobody is left.
    pub fn is_over(&self) -> bool {
        self.running.is_empty()
    }

    /// Whether the job is being ended, so that nobody is to be started.
    pub fn is_ending(&self) -> bool {
        self.ending
    }

    /// A process ended; `who` describes it for people.
    pub fn exited(&mut self, name: Name, end: End, who: &str) -> Vec<Action> {
        self.running.remove(&name);
        if name.role == Role::Master {
            self.master = Some(end);
        }
        if self.ending {
            return self.exited_while_ending(name, end, who);
        }
        match (name.role, end) {
            (Role::Master, _) => self.master_exited(end, who),
            (Role::Worker, End::Code(0)) => {
                self.worker_done = true;
                Vec::new()
            }
            (_, End::Code(0)) => Vec::new(),
            // A member that exits with a code was told to, or has lost something itself: the master
            // knows why and says so with its own code, soon.
            (Role::Server | Role::Worker, End::Code(_)) if self.runs(Role::Master) => {
                let loss = match name.role {
                    Role::Server => Some("its part of the weights is lost"),
                    _ if !self.runs(Role::Worker) && !self.worker_done => Some("no worker is left"),
                    _ => None,
                };
                let mut actions = vec![Action::Say(format!("{who} {end}"))];
                if let Some(loss) = loss {
                    self.complaint.get_or_insert(format!("{who} {end}: {loss}"));
                    actions.push(Action::Deadline(MASTER_SAYS_WHY));
                }
                actions
            }
            (Role::Server, _) => {
                let lost = "its part of the weights is lost, the job is ended";
                self.fail(format!("{who} {end}: {lost}"), AFTER_LOSS)
            }
            (Role::Evaluator, _) => vec![Action::Say(format!("{who} {end}; training goes on"))],
            (Role::Worker, _) if self.worker_done || self.runs(Role::Worker) => {
                let others = "its samples are done by the others";
                vec![Action::Say(format!("{who} {end}; {others}"))]
            }
            (Role::Worker, _) => {
                let none = "no worker is left, the job is ended";
                self.fail(format!("{who} {end}: {none}"), AFTER_SIGNAL)
            }
        }
    }

    fn master_exited(&mut self, end: End, who: &str) -> Vec<Action> {
        match end {
            // It has told everybody to leave.
            End::Code(0) => {
                self.ending = true;
                vec![Action::Deadline(AFTER_END)]
            }
            // It has said why itself, and its code is ours.
            End::Code(_) => {
                let mut actions = vec![Action::Say(format!("{who} {end}: the job is ended"))];
                actions.extend(self.end(AFTER_LOSS));
                actions
            }
            End::Killed(_) => self.fail(format!("{who} {end}: the job is ended"), AFTER_LOSS),
        }
    }

    /// Nothing that ends now changes the course; a death that we did not cause is still news.
    fn exited_while_ending(&mut self, name: Name, end: End, who: &str) -> Vec<Action> {
        let mut actions = Vec::new();
        // Interrupt and terminate are what we passed on, to a process that was just starting.
        let asked = self.killed || matches!(end, End::Killed(2 | 15) | End::Code(_));
        if !asked {
            actions.push(Action::Say(format!("{who} {end}")));
        }
        // Without the master there is nothing to wait for.
        if name.role == Role::Master && !self.killed && !self.running.is_empty() {
            let told = matches!(end, End::Code(_));
            actions.push(Action::Deadline(if told { AFTER_END } else { AFTER_LOSS }));
        }
        actions
    }

    /// A process could not be started, so that the job never begins.
    pub fn not_started(&mut self, why: String) -> Vec<Action> {
        self.fail(why, AFTER_LOSS)
    }

    fn fail(&mut self, why: String, time: Duration) -> Vec<Action> {
        self.failure.get_or_insert(why);
        self.end(time)
    }

    fn end(&mut self, time: Duration) -> Vec<Action> {
        self.ending = true;
        vec![Action::Pass(Signal::Terminate), Action::Deadline(time)]
    }

    /// Somebody wants the job to end: the first time in order, the second time at once.
    pub fn signal(&mut self, signal: Signal) -> Vec<Action> {
        if self.ending {
            return self.kill("a second signal came");
        }
        self.ending = true;
        self.signal = Some(signal);
        let saving = "signal received: saving the model and leaving; a second signal kills";
        vec![Action::Say(saving.to_owned()), Action::Pass(signal), Action::Deadline(AFTER_SIGNAL)]
    }

    /// The time set by [`Action::Deadline`] has passed.
    pub fn deadline(&mut self) -> Vec<Action> {
        if self.killed {
            return vec![Action::Abandon];
        }
        if !self.ending {
            // The master did not end after it: the member had a reason of its own.
            let why = self.complaint.take().unwrap_or_else(|| "the master did not start".into());
            return self.fail(format!("{why}, the job is ended"), AFTER_SIGNAL);
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
        vec![Action::Say(say), Action::Kill, Action::Deadline(AFTER_END)]
    }

    /// What `psrun` exits with when all is over.
    ///
    /// # Errors
    /// Why the job failed, when that is not for the master's code to say.
    pub fn verdict(self) -> anyhow::Result<u8> {
        match (self.failure, self.master) {
            (Some(failure), _) => Err(anyhow::anyhow!(failure)),
            (None, Some(End::Code(code))) => Ok(code),
            // It had not begun to listen for the signal that we passed on.
            (None, Some(End::Killed(2 | 15))) if self.signal.is_some() => {
                Ok(self.signal.map_or(1, Signal::exit_code))
            }
            (None, end) => {
                let end = end.map_or_else(|| "was never started".to_owned(), |end| end.to_string());
                Err(anyhow::anyhow!("the master {end}"))
            }
        }
    }
}

impl Default for Supervision {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(role: Role, index: u32) -> Name {
        Name { role, index }
    }

    const MASTER: Name = Name { role: Role::Master, index: 0 };

    /// One master, two servers, two workers.
    fn job() -> Supervision {
        let mut job = Supervision::new();
        job.started(MASTER);
        for index in 0..2 {
            job.started(name(Role::Server, index));
            job.started(name(Role::Worker, index));
        }
        job
    }

    fn says(actions: &[Action], words: &str) -> bool {
        actions.iter().any(|action| matches!(action, Action::Say(text) if text.contains(words)))
    }

    #[test]
    fn a_job_that_is_done_waits_for_everybody() {
        let mut job = job();
        assert_eq!(job.exited(name(Role::Worker, 0), End::Code(0), ""), []);
        assert_eq!(job.exited(MASTER, End::Code(0), ""), [Action::Deadline(AFTER_END)]);
        for (role, index) in [(Role::Worker, 1), (Role::Server, 0), (Role::Server, 1)] {
            assert!(!job.is_over());
            assert_eq!(job.exited(name(role, index), End::Code(0), ""), []);
        }
        assert!(job.is_over());
        assert_eq!(job.verdict().unwrap(), 0);
    }

    #[test]
    fn one_worker_less_is_reported_and_no_worker_left_is_the_end() {
        let mut job = job();
        let first = job.exited(name(Role::Worker, 0), End::Killed(9), "worker 0 (pid 7)");
        assert!(says(&first, "worker 0 (pid 7) was killed by signal 9; its samples"), "{first:?}");
        let last = job.exited(name(Role::Worker, 1), End::Killed(9), "worker 1");
        assert!(last.contains(&Action::Pass(Signal::Terminate)), "{last:?}");
        let why = job.verdict().unwrap_err().to_string();
        assert!(why.contains("no worker is left"), "{why}");
    }

    /// A member that exits with a code obeys the master, or has lost something: either way it is the
    /// master that knows why the job ends, and with which code.
    #[test]
    fn the_masters_code_counts_when_members_leave_before_it() {
        for code in [1, 143] {
            let mut job = job();
            for (role, index) in [(Role::Server, 0), (Role::Worker, 0), (Role::Worker, 1)] {
                let actions = job.exited(name(role, index), End::Code(1), "a member");
                assert!(!actions.contains(&Action::Pass(Signal::Terminate)), "{actions:?}");
            }
            job.exited(MASTER, End::Code(code), "master");
            assert_eq!(job.verdict().unwrap(), code);
        }
    }

    #[test]
    fn a_member_that_the_master_does_not_explain_ends_the_job() {
        let mut job = job();
        job.exited(name(Role::Server, 1), End::Code(1), "server 1 (pid 9)");
        let late = job.deadline();
        assert!(late.contains(&Action::Pass(Signal::Terminate)), "{late:?}");
        assert!(job.verdict().unwrap_err().to_string().contains("server 1 (pid 9)"));
    }

    #[test]
    fn a_signal_before_the_master_listens_for_it_keeps_its_code() {
        let mut job = job();
        job.signal(Signal::Interrupt);
        job.exited(MASTER, End::Killed(2), "master");
        assert_eq!(job.verdict().unwrap(), 130);
    }

    #[test]
    fn a_dead_server_or_master_ends_the_job() {
        for victim in [name(Role::Server, 1), MASTER] {
            let mut job = job();
            let actions = job.exited(victim, End::Killed(9), "the victim");
            assert!(actions.contains(&Action::Pass(Signal::Terminate)), "{actions:?}");
            // What the others exit with because of it does not hide the cause.
            job.exited(MASTER, End::Code(143), "master");
            assert!(job.verdict().unwrap_err().to_string().contains("the victim"));
        }
    }

    #[test]
    fn a_signal_is_passed_on_and_a_second_one_kills() {
        let mut job = job();
        let first = job.signal(Signal::Interrupt);
        assert!(first.contains(&Action::Pass(Signal::Interrupt)), "{first:?}");
        let second = job.signal(Signal::Interrupt);
        assert!(second.contains(&Action::Kill), "{second:?}");
        assert!(job.verdict().unwrap_err().to_string().contains("may not be saved"));
    }

    #[test]
    fn after_a_signal_the_masters_code_counts() {
        let mut job = job();
        job.signal(Signal::Terminate);
        job.exited(name(Role::Worker, 0), End::Code(143), "");
        job.exited(MASTER, End::Code(143), "");
        assert_eq!(job.verdict().unwrap(), 143);
    }

    #[test]
    fn who_does_not_leave_is_killed_and_then_abandoned() {
        let mut job = job();
        job.exited(MASTER, End::Code(0), "");
        let late = job.deadline();
        assert!(says(&late, "worker 1") && late.contains(&Action::Kill), "{late:?}");
        assert_eq!(job.deadline(), [Action::Abandon]);
        assert_eq!(job.verdict().unwrap(), 0);
    }
}
