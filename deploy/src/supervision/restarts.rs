//! Servers and a master that are started again, since what they acknowledged is on their disks.

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
const PAUSE_MAX: Duration = Duration::from_secs(8);

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
    /// What is to be done for a server or a master that has died, if it can be started again. One that never served would
    /// fail again, one that was told to end has its reason, and a master that ends by itself has ended the job.
    pub(super) fn restarted(&mut self, name: Name, exit: Exit, who: &str) -> Option<Vec<Action>> {
        let has_died = match name.role {
            Role::Server => !matches!(exit, Exit::Code(0 | 130 | 143)),
            Role::Master => matches!(exit, Exit::Signal(_) | Exit::Code(PANICKED)),
            _ => false,
        };
        let can = self.rules.has_journals
            && !self.ending
            && has_died
            && self.ready.remove(&name)
            && !self.obedient.contains(&name);
        let Some((count, pause)) = can.then(|| self.restarts.next(name)).flatten() else {
            self.note_loss(name, exit, who);
            return None;
        };
        // Its place is kept: the job is not over while it is away.
        self.running.insert(name);
        let mut from = "its journal";
        if name.role == Role::Master {
            (self.master, from) = (None, "what it had written down");
        }
        let times = if count == 1 { String::new() } else { format!(" (restart {count})") };
        let say = format!("{who} {exit}: it is started again and goes on from {from}{times}");
        Some(vec![Action::Say(say), Action::Restart(name, pause)])
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
        assert!(without.is_ending());
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
    fn one_that_cannot_serve_again_ends_the_job() {
        let mut job = job(true);
        job.exited(SERVER, Exit::Signal(9), "server 1");
        job.started(SERVER);
        let actions = job.exited(SERVER, Exit::Code(1), "server 1");
        assert!(job.is_ending(), "{actions:?}");
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
