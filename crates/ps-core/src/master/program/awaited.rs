//! Whether a pass, or the job's end, waits for a program that says nothing: people are told who it is, and what it holds goes to
//! others in the end.

use super::Machine;
use crate::ids::WorkerId;
use crate::master::types::{Level, MemberId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long others wait before it is said.
const TELL_AFTER: Duration = Duration::from_secs(30);

/// Who was heard of when, and since when others wait.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Awaited {
    heard: BTreeMap<WorkerId, Duration>,
    /// Since when there has been nothing for who asks; nothing once there is.
    since: Option<Duration>,
    /// Whether it was said, of this wait.
    is_told: bool,
    /// When the first program had ended, and whether it was said who the job waits for since.
    ended: Option<Duration>,
    is_end_told: bool,
}

impl Awaited {
    /// A program has asked, and there is a lease for it, or none but what others hold.
    pub(super) fn asked(&mut self, worker: WorkerId, must_wait: bool, now: Duration) {
        self.heard.insert(worker, now);
        if !must_wait {
            (self.since, self.is_told) = (None, false);
        } else if self.since.is_none() {
            self.since = Some(now);
        }
    }

    /// Of these, who has said nothing since others began to wait, at least so long ago, and for how long.
    fn silent(
        &self,
        holders: impl IntoIterator<Item = WorkerId>,
        least: Duration,
        now: Duration,
    ) -> Vec<(WorkerId, Duration)> {
        let since = self.since.filter(|since| now.saturating_sub(*since) >= least);
        let Some(since) = since else { return Vec::new() };
        let heard = |worker| self.heard.get(&worker).copied().unwrap_or(since);
        let holders = holders.into_iter().map(|worker| (worker, heard(worker)));
        let silent = holders.filter(|(_, heard)| *heard <= since);
        silent.map(|(worker, heard)| (worker, now.saturating_sub(heard))).collect()
    }

    /// Of these, whose programs run still, who is to be named: others ended long ago, and it has said nothing since. Once.
    fn last(
        &mut self,
        running: impl IntoIterator<Item = WorkerId>,
        now: Duration,
    ) -> Vec<(WorkerId, Duration)> {
        let ended = *self.ended.get_or_insert(now);
        let waited = now.saturating_sub(ended);
        if waited < TELL_AFTER || std::mem::replace(&mut self.is_end_told, true) {
            return Vec::new();
        }
        let heard = |worker| self.heard.get(&worker).copied().unwrap_or_default();
        let silent = running.into_iter().filter(|worker| heard(*worker) <= ended);
        silent.map(|worker| (worker, waited)).collect()
    }
}

impl Machine {
    /// Says for whom a pass waits, if it does so for long; what a program holds that does nothing for a step's time-out goes to
    /// others.
    pub(in crate::master) fn tell_awaited(&mut self, now: Duration) {
        let (holders, awaited) = (self.programs.samples.holders(), &mut self.programs.awaited);
        let silent = match awaited.is_told {
            true => Vec::new(),
            false => awaited.silent(holders.iter().copied(), TELL_AFTER, now),
        };
        awaited.is_told |= !silent.is_empty();
        let limit = self.config.step_timeout.max(TELL_AFTER);
        let stuck = awaited.silent(holders, limit, now);
        for (worker, silent) in silent {
            let (pass, held) =
                (self.programs.samples.pass() + 1, self.programs.samples.held(worker));
            let worker = self.registry.describe(MemberId::worker(worker));
            let line = format!(
                "pass {pass} waits for the program of {worker}: it holds {held} samples, others have nothing left to train, and it \
                 has asked for nothing in {silent:.0?}; they go to others after {limit:.0?} (--step-timeout-s), or when it is killed"
            );
            self.log(Level::Warn, line);
        }
        for (worker, _) in stuck {
            self.take_samples_back(worker);
        }
        self.tell_last(now);
    }

    /// Says who the job waits for at its end.
    fn tell_last(&mut self, now: Duration) {
        if !self.programs.samples.is_used() || self.leases.samples_done() == 0 {
            return;
        }
        let running: Vec<WorkerId> = self.leases.holders().collect();
        if running.is_empty() {
            return;
        }
        for (worker, waited) in self.programs.awaited.last(running, now) {
            let worker = self.registry.describe(MemberId::worker(worker));
            let line = format!(
                "the job waits for the program of {worker}: others ended {waited:.0?} ago, and it has asked for nothing since"
            );
            self.log(Level::Warn, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_says_nothing_while_others_wait_is_known() {
        let mut awaited = Awaited::default();
        awaited.asked(1, false, at(10));
        awaited.asked(0, true, at(20));
        assert_eq!(awaited.silent([1], at(30), at(49)), []);
        awaited.asked(0, true, at(49));
        assert_eq!(awaited.silent([1], at(30), at(50)), [(1, at(40))]);
        // The next wait is another one.
        awaited.asked(0, false, at(60));
        awaited.asked(0, true, at(70));
        awaited.asked(1, true, at(90));
        assert_eq!(awaited.silent([1], at(30), at(110)), [], "it has just been heard of");
    }

    #[test]
    fn who_is_the_last_one_is_named_once() {
        let mut awaited = Awaited::default();
        awaited.asked(1, false, at(10));
        awaited.asked(2, false, at(15));
        assert_eq!(awaited.last([1, 2], at(20)), []);
        awaited.asked(2, false, at(30));
        assert_eq!(awaited.last([1, 2], at(50)), [(1, at(30))]);
        assert_eq!(awaited.last([1, 2], at(60)), []);
    }
}
