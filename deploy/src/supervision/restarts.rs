//! Processes that are started again: servers and a master, since what they acknowledged is on their disks, and who trains
//! and measures beside them.

use super::{Action, Supervision};
use crate::exit::Exit;
use crate::name::{Name, Role};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a program exits with whose main thread panicked.
const PANICKED: u8 = 101;

/// How often one process is started again: a machine that kills it so often would go on doing so.
const RESTARTS_MAX: u32 = 100;

/// How often it is started again at once; after that it is waited for ever longer.
const AT_ONCE: u32 = 3;
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// How often each server was started again, and who was not.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    counts: BTreeMap<Name, u32>,
    /// Who was killed that the job cannot do without.
    lost: Option<String>,
}

impl Restarts {
    /// How long to wait before it is started once more; `None`: it was often enough.
    fn next(&mut self, name: Name) -> Option<(u32, Duration)> {
        let count = self.counts.entry(name).or_default();
        if *count >= RESTARTS_MAX {
            return None;
        }
        *count += 1;
        let pause = match count.checked_sub(AT_ONCE + 1) {
            None => Duration::ZERO,
            Some(doublings) => {
                Duration::from_millis(250).saturating_mul(1 << doublings.min(16)).min(PAUSE_MAX)
            }
        };
        Some((*count, pause))
    }
}

impl Supervision {
    /// What is to be done for a process that has died, if it can be started again. One that never worked would fail again, and
    /// one that ends by itself has its reason: a master has ended the job, a server cannot go on with what its folder has. What a program
    /// has done is its own affair.
    pub(super) fn restarted(&mut self, name: Name, exit: Exit, who: &str) -> Option<Vec<Action>> {
        let was_killed = matches!(exit, Exit::Signal(_));
        let has_died = match name.role {
            Role::Server | Role::Master => was_killed || exit == Exit::Code(PANICKED),
            Role::Worker | Role::Evaluator => was_killed && !self.rules.has_program,
        };
        // Who is killed while it is started has not shown that it cannot.
        let has_worked = self.ready.contains(&name) || was_killed;
        let is_kept = self.rules.servers_go_back && name.role == Role::Server;
        let can = (self.rules.has_journals || is_kept)
            && !self.ending
            && has_died
            && has_worked
            && !self.obedient.contains(&name);
        let Some((count, pause)) = can.then(|| self.restarts.next(name)).flatten() else {
            self.note_loss(name, exit, who);
            return None;
        };
        // The next one has to show that it can, too.
        self.ready.remove(&name);
        // Its place is kept: the job is not over while it is away.
        self.running.insert(name);
        let (mut report, mut from) = (None, "");
        match name.role {
            Role::Master => {
                (self.master, from) = (None, " and goes on from what it had written down")
            }
            Role::Server if is_kept => from = " and goes back alone to a checkpoint",
            Role::Server => from = " and goes on from its journal",
            // What it had in work is done by others meanwhile.
            Role::Worker | Role::Evaluator => report = Some(Action::ReportEnded(name, exit)),
        }
        let times = if count == 1 { String::new() } else { format!(" (restart {count})") };
        let say = Action::Say(format!("{who} {exit}: it is started again{from}{times}"));
        Some(
            [Some(say), report, Some(Action::Restart(name, pause))].into_iter().flatten().collect(),
        )
    }

    /// A process has worked for long: what ended it before does not any more.
    pub fn has_worked_long(&mut self, name: Name) {
        self.restarts.counts.remove(&name);
    }

    /// Who works.
    pub fn working(&self) -> Vec<Name> {
        self.ready.intersection(&self.running).copied().collect()
    }

    /// Notes who was killed that the job cannot do without, if it ends for that.
    fn note_loss(&mut self, name: Name, exit: Exit, who: &str) {
        let is_needed = matches!(name.role, Role::Master | Role::Server);
        if is_needed && !self.ending && matches!(exit, Exit::Signal(_)) {
            self.restarts.lost = Some(format!("{who} {exit}"));
        }
    }

    /// Who that was.
    pub fn take_lost(&mut self) -> Option<String> {
        self.restarts.lost.take()
    }

    /// A process that was to be started again is not, for the job is ending.
    pub fn not_restarted(&mut self, name: Name) {
        self.running.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervision::Rules;

    const SERVER: Name = Name { role: Role::Server, index: 1 };

    fn job(has_journals: bool) -> Supervision {
        let mut job = Supervision::new(Rules { has_journals, ..Rules::LOCAL });
        for name in [SERVER, Name { role: Role::Master, index: 0 }] {
            job.started(name);
            job.is_ready(name);
        }
        job
    }

    #[test]
    fn a_server_with_a_journal_is_started_again_and_one_without_ends_the_job() {
        let mut with = job(true);
        let actions = with.exited(SERVER, Exit::Signal(9), "server 1");
        assert!(actions.contains(&Action::Restart(SERVER, Duration::ZERO)), "{actions:?}");
        assert!(!with.is_ending());
        let mut without = job(false);
        let actions = without.exited(SERVER, Exit::Signal(9), "server 1");
        assert!(!actions.iter().any(|action| matches!(action, Action::Restart(..))));
        assert!(actions.contains(&Action::ReportEnded(SERVER, Exit::Signal(9))), "{actions:?}");
        assert!(without.take_lost().is_some());
    }

    /// It alone has something to go back to, and one that ends by itself has a reason that another start would not change.
    #[test]
    fn where_servers_go_back_alone_a_killed_server_is_started_again_and_nobody_else() {
        const MASTER: Name = Name { role: Role::Master, index: 0 };
        let after = |name, exit| {
            let mut job = Supervision::new(Rules { servers_go_back: true, ..Rules::LOCAL });
            for name in [SERVER, MASTER] {
                job.started(name);
                job.is_ready(name);
            }
            let actions = job.exited(name, exit, "it");
            let is_again = actions.iter().any(|action| matches!(action, Action::Restart(..)));
            (is_again, job.take_lost().is_some())
        };
        assert_eq!(after(SERVER, Exit::Signal(9)), (true, false));
        assert_eq!(after(SERVER, Exit::Code(1)), (false, false));
        assert_eq!(after(MASTER, Exit::Signal(9)), (false, true));
    }

    #[test]
    fn a_master_that_is_killed_is_started_again_and_one_that_ends_by_itself_ends_the_job() {
        const MASTER: Name = Name { role: Role::Master, index: 0 };
        let mut killed = job(true);
        let actions = killed.exited(MASTER, Exit::Signal(9), "master");
        assert!(actions.contains(&Action::Restart(MASTER, Duration::ZERO)), "{actions:?}");
        assert!(!killed.is_ending());
        for (mut ended, exit) in [(job(true), Exit::Code(1)), (job(false), Exit::Signal(9))] {
            let actions = ended.exited(MASTER, exit, "master");
            assert!(!actions.iter().any(|action| matches!(action, Action::Restart(..))));
            assert!(ended.is_ending());
        }
        // Whatever it says at its end counts, not that it was killed before.
        killed.started(MASTER);
        killed.is_ready(MASTER);
        killed.exited(MASTER, Exit::Code(0), "master");
        assert_eq!(killed.verdict().unwrap(), 0);
    }

    #[test]
    fn a_worker_that_is_killed_is_started_again_beside_journals_and_one_that_fails_is_not() {
        const WORKER: Name = Name { role: Role::Worker, index: 0 };
        let after = |has_journals, exit| {
            let mut job = job(has_journals);
            job.started(WORKER);
            job.is_ready(WORKER);
            job.exited(WORKER, exit, "worker 0")
        };
        let killed = after(true, Exit::Signal(9));
        assert!(killed.contains(&Action::ReportEnded(WORKER, Exit::Signal(9))), "{killed:?}");
        assert_eq!(killed.last(), Some(&Action::Restart(WORKER, Duration::ZERO)));
        for actions in [after(true, Exit::Code(1)), after(false, Exit::Signal(9))] {
            assert!(!actions.iter().any(|it| matches!(it, Action::Restart(..))), "{actions:?}");
        }
    }

    #[test]
    fn who_has_worked_long_is_started_again_at_once() {
        let mut job = job(true);
        for _ in 0..2 * RESTARTS_MAX {
            let actions = job.exited(SERVER, Exit::Signal(9), "server 1");
            assert_eq!(actions.last(), Some(&Action::Restart(SERVER, Duration::ZERO)));
            job.has_worked_long(SERVER);
            job.is_ready(SERVER);
        }
    }

    #[test]
    fn one_that_cannot_serve_again_ends_the_job() {
        let mut job = job(true);
        job.exited(SERVER, Exit::Signal(9), "server 1");
        job.started(SERVER);
        let actions = job.exited(SERVER, Exit::Code(1), "server 1");
        assert!(job.is_ending(), "{actions:?}");
    }

    /// Found by a breaker: killed twice in a second, a server or a master ended its job.
    #[test]
    fn regression_who_is_killed_while_it_is_started_again_is_started_once_more() {
        for name in [SERVER, Name { role: Role::Master, index: 0 }] {
            let mut job = job(true);
            for _ in 0..3 {
                let actions = job.exited(name, Exit::Signal(9), "it");
                assert_eq!(actions.last(), Some(&Action::Restart(name, Duration::ZERO)));
                job.started(name);
            }
        }
    }

    /// Found while fail points were made: killed before it listened, a master ended its job.
    #[test]
    fn regression_a_master_that_is_killed_before_it_is_ready_is_started_again() {
        let master = Name { role: Role::Master, index: 0 };
        let mut job = Supervision::new(Rules { has_journals: true, ..Rules::LOCAL });
        job.started(master);
        let actions = job.exited(master, Exit::Signal(9), "master");
        assert_eq!(actions.last(), Some(&Action::Restart(master, Duration::ZERO)));
        job.started(master);
        job.exited(master, Exit::Code(1), "master");
        assert!(job.is_ending(), "it has a reason that another start would not change");
    }

    #[test]
    fn pauses_grow_and_end() {
        let mut restarts = Restarts::default();
        let pauses: Vec<Duration> =
            std::iter::from_fn(|| restarts.next(SERVER)).map(|(_, pause)| pause).collect();
        assert_eq!(pauses.len(), RESTARTS_MAX as usize);
        assert_eq!(pauses[..3], [Duration::ZERO; 3]);
        assert!(pauses.is_sorted() && pauses.last() == Some(&PAUSE_MAX));
    }
}
