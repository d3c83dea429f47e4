//! How far a job is: a snapshot, rates over the last seconds, and both in words.

mod meter;

pub use meter::{Meter, Rates};

use crate::digits::digits;
use crate::ids::ShardId;
use std::time::Duration;

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
    /// Samples of the leases that are in work; 0 where nobody knows.
    pub samples_leased: u64,
    /// Samples of all steps so far, as workers count them.
    pub samples_trained: u64,
    /// Of programs that take their samples from the master, the pass in work, from 1.
    pub program_pass: Option<u64>,
    /// Programs of the user's train: only the servers know how far they are.
    pub is_program: bool,
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

impl ProgressSnapshot {
    /// Time left at this rate; `None` when nothing moves.
    pub fn time_left(&self, rates: &Rates) -> Option<Duration> {
        let left = (self.samples_total as f64 - rates.done).max(0.0);
        Duration::try_from_secs_f64(left / rates.done_per_second).ok()
    }

    /// The share of the job that is done, from 0 to 1.
    pub fn share(&self, rates: &Rates) -> f64 {
        if self.samples_total == 0 { 0.0 } else { rates.done / self.samples_total as f64 }
    }

    /// One line for people. What matters most comes first: a narrow terminal cuts the rest.
    pub fn line(&self, rates: &Rates) -> String {
        if self.samples_total == 0 {
            return format!("{}{}", self.phase, self.waits());
        }
        if self.is_program {
            let pass = self.program_pass.map(|pass| format!("pass {pass}, ")).unwrap_or_default();
            return format!(
                "{}{}: {pass}{} steps, {:.0} steps/s, {} workers",
                self.phase,
                self.waits(),
                self.steps,
                rates.steps_per_second,
                self.workers
            );
        }
        let share = 100.0 * self.share(rates);
        let mut line = format!("{}: {share:.0} %, pass {}/{}", self.phase, self.pass, self.passes);
        if let Some(left) = self.time_left(rates) {
            line.push_str(&format!(", {} left", clock_time(left)));
        }
        line.push_str(&self.waits());
        if let Some(loss) = self.loss {
            line.push_str(&format!(", loss {}", digits(loss)));
        }
        line.push_str(&format!(
            ", {:.0} steps/s, {:.0} samples/s, staleness p50 {} max {}, {} workers",
            rates.steps_per_second,
            rates.samples_per_second,
            self.staleness_p50,
            self.staleness_max,
            self.workers
        ));
        line
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
    fn a_line_says_where_the_job_is() {
        let rates = Rates {
            steps_per_second: 10.0,
            samples_per_second: 21.0,
            done: 1500.0,
            done_per_second: 20.0,
        };
        let line = at(1500).line(&rates);
        for part in
            ["training: 50 %, pass 2/3, 1 min 15 s left", "0.5000", "10 steps/s", "21 samples/s"]
        {
            assert!(line.contains(part), "{part} in {line}");
        }
        let line = ProgressSnapshot { away: vec![1], ..at(1500) }.line(&rates);
        assert!(line.contains("left, server 1 is away, loss"), "{line}");
        let line = ProgressSnapshot { is_program: true, ..at(1500) }.line(&rates);
        assert_eq!(line, "training: 150 steps, 10 steps/s, 2 workers");
        let line = ProgressSnapshot { is_program: true, program_pass: Some(3), ..at(1500) };
        assert_eq!(line.line(&rates), "training: pass 3, 150 steps, 10 steps/s, 2 workers");
    }
}
