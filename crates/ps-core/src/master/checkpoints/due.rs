//! When a checkpoint is written while a job trains.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How often; whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointEvery {
    /// So many passes; 0: whatever passes do.
    pub passes: u64,
    /// So many steps of all workers together.
    pub steps: Option<u64>,
    /// So much time.
    pub time: Option<Duration>,
}

impl Default for CheckpointEvery {
    fn default() -> Self {
        Self { passes: 1, steps: None, time: None }
    }
}

/// What happened since the last one was asked for.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Since {
    passes: u64,
    /// Where it was asked for; `None` before training.
    from: Option<(u64, Duration)>,
    /// Somebody wants one now.
    is_wanted: bool,
}

impl Since {
    pub(super) fn pass_ended(&mut self) {
        self.passes += 1;
    }

    pub(super) fn want(&mut self) {
        self.is_wanted = true;
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// Whether it is time, at this step. The first time that it is asked is where it counts from.
    /// `counts`: whether steps are counted at all.
    pub(super) fn is_due(
        &mut self,
        every: CheckpointEvery,
        (step, counts): (u64, bool),
        now: Duration,
    ) -> bool {
        let (from_step, from) = *self.from.get_or_insert((step, now));
        let (steps, time) = (step.saturating_sub(from_step), now.saturating_sub(from));
        self.is_wanted
            || (every.passes > 0 && self.passes >= every.passes)
            || every.steps.is_some_and(|every| steps >= every)
            // What nobody has trained since is there already.
            || ((steps > 0 || !counts) && every.time.is_some_and(|every| time >= every))
    }

    /// One is asked for.
    pub(super) fn begin(&mut self, step: u64, now: Duration) {
        *self = Self { from: Some((step, now)), ..Self::default() };
    }

    /// It was time while one was being written: that one does for both, but for who asked for one.
    pub(super) fn skip(&mut self, step: u64, now: Duration) {
        *self = Self { from: Some((step, now)), is_wanted: self.is_wanted, passes: 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn whichever_comes_first() {
        let every = CheckpointEvery { passes: 2, steps: Some(100), time: Some(at(60)) };
        let mut since = Since::default();
        assert!(!since.is_due(every, (1000, true), at(5)), "it goes on from there");
        assert!(!since.is_due(every, (1099, true), at(64)));
        assert!(
            since.is_due(every, (1100, true), at(6)) && since.is_due(every, (1001, true), at(65))
        );
        assert!(!since.is_due(every, (1000, true), at(999)), "nothing was trained");
        assert!(since.is_due(every, (1000, false), at(65)), "nobody knows whether");
        since.pass_ended();
        assert!(!since.is_due(every, (1000, true), at(5)));
        since.pass_ended();
        assert!(since.is_due(every, (1000, true), at(5)));
        since.begin(1001, at(6));
        assert!(!since.is_due(every, (1100, true), at(65)));
        assert!(since.is_due(every, (1101, true), at(7)));
    }

    #[test]
    fn without_passes_only_what_is_named_counts_and_who_asks_is_heard() {
        let every = CheckpointEvery { passes: 0, steps: Some(10), time: None };
        let mut since = Since::default();
        assert!(!since.is_due(every, (0, true), at(0)));
        since.pass_ended();
        assert!(!since.is_due(every, (9, true), at(9999)));
        since.want();
        assert!(since.is_due(every, (0, true), at(0)));
        since.skip(5, at(0));
        assert!(since.is_due(every, (5, true), at(0)), "that one may have begun before");
        since.begin(5, at(0));
        assert!(!since.is_due(every, (14, true), at(0)) && since.is_due(every, (15, true), at(0)));
    }
}
