//! Whether a pass waits for a program that says nothing: people are told who it is.

use super::Machine;
use crate::ids::WorkerId;
use crate::master::types::{Level, MemberId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long others wait before it is said.
const TELL_AFTER: Duration = Duration::from_secs(60);

/// Who was heard of when, and since when others wait.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Awaited {
    heard: BTreeMap<WorkerId, Duration>,
    /// Since when there has been nothing for who asks; nothing once there is.
    since: Option<Duration>,
    /// When it was said, of this wait.
    is_told: bool,
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

    /// Of these, who has said nothing since others began to wait, and for how long; once.
    fn silent(
        &mut self,
        holders: impl IntoIterator<Item = WorkerId>,
        now: Duration,
    ) -> Vec<(WorkerId, Duration)> {
        let Some(since) = self.since.filter(|since| now.saturating_sub(*since) >= TELL_AFTER)
        else {
            return Vec::new();
        };
        if std::mem::replace(&mut self.is_told, true) {
            return Vec::new();
        }
        let heard = |worker| self.heard.get(&worker).copied().unwrap_or(since);
        let holders = holders.into_iter().map(|worker| (worker, heard(worker)));
        let silent = holders.filter(|(_, heard)| *heard <= since);
        silent.map(|(worker, heard)| (worker, now.saturating_sub(heard))).collect()
    }
}

impl Machine {
    /// Says for whom a pass waits, if it does so for long.
    pub(in crate::master) fn tell_awaited(&mut self, now: Duration) {
        let holders = self.programs.samples.holders();
        for (worker, silent) in self.programs.awaited.silent(holders, now) {
            let (pass, held) =
                (self.programs.samples.pass() + 1, self.programs.samples.held(worker));
            let worker = self.registry.describe(MemberId::worker(worker));
            let line = format!(
                "pass {pass} waits for the program of {worker}: it holds {held} samples, others have nothing left to train, and it \
                 has asked for nothing in {silent:.0?}; if it is stuck, kill it, and they go to others"
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
    fn who_says_nothing_while_others_wait_is_named_once() {
        let mut awaited = Awaited::default();
        awaited.asked(1, false, at(10));
        awaited.asked(0, true, at(20));
        assert_eq!(awaited.silent([1], at(79)), []);
        awaited.asked(0, true, at(79));
        assert_eq!(awaited.silent([1], at(80)), [(1, at(70))]);
        assert_eq!(awaited.silent([1], at(81)), []);
        // The next wait is another one.
        awaited.asked(0, false, at(90));
        awaited.asked(0, true, at(100));
        awaited.asked(1, true, at(150));
        assert_eq!(awaited.silent([1], at(170)), [], "it has just been heard of");
    }
}
