//! Rates over the last seconds, and how far a job is between two leases.

use super::ProgressSnapshot;
use std::collections::VecDeque;
use std::time::Duration;

/// Rates are taken over this much time: long enough to be steady, short enough to be current.
const WINDOW: Duration = Duration::from_secs(15);

/// What is known from several snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Over all workers.
    pub steps_per_second: f64,
    /// Over all workers.
    pub samples_per_second: f64,
    /// How far the job is, in the unit of [`ProgressSnapshot::samples_done`]: leases come in at once, steps one by one.
    pub done: f64,
    /// How fast that grows.
    pub done_per_second: f64,
}

/// One moment.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Duration,
    steps: u64,
    trained: u64,
    done: f64,
}

/// Measures rates from snapshots.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    seen: VecDeque<Seen>,
    /// What lies between the samples that workers counted and those of the job: done in an earlier life of it, or
    /// trained on twice.
    offset: f64,
}

impl Meter {
    /// Takes a snapshot; the rates over the last seconds.
    pub fn take(&mut self, now: Duration, snapshot: &ProgressSnapshot) -> Rates {
        let done = self.done(snapshot);
        let trained = snapshot.samples_trained;
        self.seen.push_back(Seen { at: now, steps: snapshot.steps, trained, done });
        while self.seen.len() > 2 && now.saturating_sub(self.seen[1].at) >= WINDOW {
            self.seen.pop_front();
        }
        let Some(then) = self.seen.front() else {
            return Rates::default();
        };
        let seconds = now.saturating_sub(then.at).as_secs_f64();
        if seconds <= 0.0 {
            return Rates { done, ..Rates::default() };
        }
        Rates {
            steps_per_second: snapshot.steps.saturating_sub(then.steps) as f64 / seconds,
            samples_per_second: trained.saturating_sub(then.trained) as f64 / seconds,
            done,
            done_per_second: (done - then.done).max(0.0) / seconds,
        }
    }

    /// Finished leases are the least that is done, and with those in work the most; between the two it is what workers
    /// have counted.
    fn done(&mut self, snapshot: &ProgressSnapshot) -> f64 {
        let least = snapshot.samples_done as f64;
        let most = least + snapshot.samples_leased as f64;
        let trained = snapshot.samples_trained as f64;
        let done = (trained + self.offset).clamp(least, most);
        self.offset = done - trained;
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(samples_done: u64) -> ProgressSnapshot {
        ProgressSnapshot {
            samples_done,
            samples_trained: samples_done,
            samples_total: 3000,
            steps: samples_done / 10,
            ..ProgressSnapshot::default()
        }
    }

    #[test]
    fn rates_follow_the_last_seconds() {
        let mut meter = Meter::default();
        let second = Duration::from_secs;
        assert_eq!(meter.take(second(0), &at(0)), Rates::default());
        assert_eq!(meter.take(second(10), &at(1000)).samples_per_second, 100.0);
        meter.take(second(20), &at(1000));
        let rates = meter.take(second(30), &at(1000));
        assert_eq!(rates.samples_per_second, 0.0);
        assert_eq!(at(1000).time_left(&rates), None);
    }

    /// Found by a newcomer: the time left went from 70 s to 104 s and back to 44 s, as often as a lease came in.
    #[test]
    fn regression_the_time_left_falls_evenly_while_leases_come_in_at_once() {
        // Two workers of 100 samples a second, with leases of 1,000 that begin 4 seconds apart.
        const TOTAL: u64 = 60_000;
        let mut meter = Meter::default();
        let mut last: Option<f64> = None;
        for tenth in 0..2_900_u64 {
            let trained = [tenth * 10, (tenth * 10).saturating_sub(400)];
            let finished = trained.map(|samples| samples / 1000 * 1000);
            let snapshot = ProgressSnapshot {
                samples_done: finished.iter().sum(),
                samples_leased: 2_000,
                // Counted in an earlier life, and heard of twice a second.
                samples_trained: trained.iter().sum::<u64>() / 100 * 100,
                samples_total: TOTAL,
                ..ProgressSnapshot::default()
            };
            let rates = meter.take(Duration::from_millis(tenth * 100), &snapshot);
            let left = snapshot.time_left(&rates).map(|left| left.as_secs_f64());
            if tenth < 250 {
                continue; // The first rates are rough, and the second worker comes late.
            }
            let left = left.unwrap();
            let before = last.replace(left).unwrap_or(left + 0.1);
            let jump = (before - 0.1 - left).abs();
            assert!(jump < 0.05 * left.max(20.0), "{before} s, then {left} s at {tenth}");
        }
    }

    #[test]
    fn what_was_done_before_counts_and_what_is_done_again_does_not() {
        let mut meter = Meter::default();
        let snapshot = |samples_done, samples_trained| ProgressSnapshot {
            samples_done,
            samples_leased: 100,
            samples_trained,
            samples_total: 3000,
            ..ProgressSnapshot::default()
        };
        let mut done = |samples_done, trained| {
            meter.take(Duration::ZERO, &snapshot(samples_done, trained)).done
        };
        assert_eq!(done(1000, 0), 1000.0);
        assert_eq!(done(1000, 40), 1040.0);
        // A worker is lost with its 40 samples: they are trained on once more.
        assert_eq!(done(1000, 140), 1100.0);
        assert_eq!(done(1100, 140), 1100.0);
        assert_eq!(done(1100, 150), 1110.0);
    }
}
