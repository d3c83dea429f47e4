//! How far a job is: a snapshot, rates over the last seconds, and both in words.

use crate::ids::ShardId;
use std::collections::VecDeque;
use std::time::Duration;

/// Rates are taken over this much time: long enough to be steady, short enough to be current.
const WINDOW: Duration = Duration::from_secs(15);

/// Where a job is at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProgressSnapshot {
    /// What it is doing.
    pub phase: &'static str,
    /// The pass in work, from 1.
    pub pass: u64,
    /// Passes in all.
    pub passes: u64,
    /// Samples done, over all passes.
    pub samples_done: u64,
    /// Samples to do, over all passes; 0 until a worker said how many there are.
    pub samples_total: u64,
    /// Steps finished by all workers.
    pub steps: u64,
    /// Mean loss of what was reported last.
    pub loss: Option<f64>,
    /// Half of the pushes so far were at most this stale.
    pub staleness_p50: u64,
    /// The stalest push so far.
    pub staleness_max: u64,
    /// Live workers.
    pub workers: usize,
    /// Shards whose servers are away.
    pub away: Vec<ShardId>,
}

/// Steps and samples per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Over all workers.
    pub steps_per_second: f64,
    /// Over all workers.
    pub samples_per_second: f64,
}

/// Measures rates from snapshots.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    seen: VecDeque<(Duration, u64, u64)>,
}

impl Meter {
    /// Takes a snapshot; the rates over the last seconds.
    pub fn take(&mut self, now: Duration, snapshot: &ProgressSnapshot) -> Rates {
        self.seen.push_back((now, snapshot.steps, snapshot.samples_done));
        while self.seen.len() > 2 && now.saturating_sub(self.seen[1].0) >= WINDOW {
            self.seen.pop_front();
        }
        let Some(&(then, steps, samples)) = self.seen.front() else {
            return Rates::default();
        };
        let seconds = now.saturating_sub(then).as_secs_f64();
        if seconds <= 0.0 {
            return Rates::default();
        }
        Rates {
            steps_per_second: snapshot.steps.saturating_sub(steps) as f64 / seconds,
            samples_per_second: snapshot.samples_done.saturating_sub(samples) as f64 / seconds,
        }
    }
}

impl ProgressSnapshot {
    /// Time left at this rate; `None` when nothing moves.
    pub fn time_left(&self, rates: &Rates) -> Option<Duration> {
        let left = self.samples_total.saturating_sub(self.samples_done) as f64;
        Duration::try_from_secs_f64(left / rates.samples_per_second).ok()
    }

    /// One line for people.
    pub fn line(&self, rates: &Rates) -> String {
        if self.samples_total == 0 {
            return format!("{}{}", self.phase, self.waits());
        }
        let share = 100.0 * self.samples_done as f64 / self.samples_total as f64;
        let mut line = format!("{}: pass {}/{} {share:.0} %", self.phase, self.pass, self.passes);
        if let Some(loss) = self.loss {
            line.push_str(&format!(", loss {loss:.4}"));
        }
        line.push_str(&format!(
            ", {:.0} steps/s, {:.0} samples/s, staleness p50 {} max {}, {} workers",
            rates.steps_per_second,
            rates.samples_per_second,
            self.staleness_p50,
            self.staleness_max,
            self.workers
        ));
        if let Some(left) = self.time_left(rates) {
            line.push_str(&format!(", {} left", clock_time(left)));
        }
        line + &self.waits()
    }

    /// Who holds up whoever needs it.
    fn waits(&self) -> String {
        let away = self.away.iter().map(|shard| format!(", server {shard} is away"));
        away.collect()
    }
}

/// A duration as people read it.
fn clock_time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    if hours > 0 {
        return format!("{hours} h {minutes:02} min");
    }
    if minutes > 0 {
        format!("{minutes} min {:02} s", seconds % 60)
    } else {
        format!("{seconds} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(samples_done: u64) -> ProgressSnapshot {
        ProgressSnapshot {
            phase: "training",
            pass: 2,
            passes: 3,
            samples_done,
            samples_total: 3000,
            steps: samples_done / 10,
            loss: Some(0.5),
            workers: 2,
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

    #[test]
    fn a_line_says_where_the_job_is() {
        let rates = Rates { steps_per_second: 10.0, samples_per_second: 20.0 };
        let line = at(1500).line(&rates);
        for part in ["pass 2/3", "50 %", "0.5000", "10 steps/s", "1 min 15 s left"] {
            assert!(line.contains(part), "{part} in {line}");
        }
        let line = ProgressSnapshot { away: vec![1], ..at(1500) }.line(&rates);
        assert!(line.ends_with("left, server 1 is away"), "{line}");
    }
}
