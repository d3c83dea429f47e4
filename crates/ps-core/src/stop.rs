//! What of the time that a signal leaves is for what.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The time after a signal until something must be over. Shares of a short time; of a long one what
/// comes after saving needs no more than `TELLING` and so on, and the rest is for saving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopTimes {
    /// All of it: then whoever supervises kills.
    pub all: Duration,
    /// Workers have finished their steps, or are not waited for.
    pub barrier: Duration,
    /// A program of the user's has ended, or is killed.
    pub program: Duration,
    /// Model and last checkpoint are written, or given up.
    pub saved: Duration,
    /// Everybody was told to leave, or is not waited for.
    pub told: Duration,
    /// Members leave without having been told.
    pub left: Duration,
}

impl StopTimes {
    /// What is kept after saving, after telling and after leaving, at the most.
    const SAVING: Duration = Duration::from_millis(2500);
    const TELLING: Duration = Duration::from_millis(1500);
    const LEAVING: Duration = Duration::from_secs(1);
    /// What is kept after a program's end: its worker has to say how it ended.
    const REPORTING: Duration = Duration::from_secs(3);

    /// Of so much time.
    pub fn of(all: Duration) -> Self {
        let but = |rest: Duration, share: u32| all - rest.min(all * share / 36);
        Self {
            all,
            barrier: all * 14 / 36,
            program: but(Self::REPORTING, 12),
            saved: but(Self::SAVING, 10),
            told: but(Self::TELLING, 6),
            left: but(Self::LEAVING, 4),
        }
    }
}

impl Default for StopTimes {
    /// Of 9 s: 10 s after its signal `docker stop` kills.
    fn default() -> Self {
        Self::of(Duration::from_secs(9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_before_a_container_is_killed_are_enough() {
        let times = StopTimes::default();
        let expected = [3500, 6000, 6500, 7500, 8000, 9000].map(Duration::from_millis);
        let StopTimes { barrier, program, saved, told, left, all } = times;
        assert_eq!([barrier, program, saved, told, left, all], expected);
    }

    #[test]
    fn more_time_is_time_to_save_and_no_time_is_out_of_order() {
        let times = StopTimes::of(Duration::from_secs(110));
        assert_eq!(times.saved, Duration::from_millis(107_500));
        assert_eq!(times.program, Duration::from_secs(107));
        for seconds in 1..200 {
            let StopTimes { barrier, program, saved, told, left, all } =
                StopTimes::of(Duration::from_secs(seconds));
            assert!(barrier < program && barrier < saved && saved < told, "{seconds} s");
            assert!(told < left && left < all && program < left, "{seconds} s");
        }
    }
}
