//! What is remembered for the metric lines, the progress and the report.

mod evaluations;
mod loss_curve;
mod report;

use loss_curve::LossCurve;

use super::leases::PassEnd;
use super::types::{MemberId, ModelWritten};
use crate::checkpoint::JobState;
use crate::ids::{ShardId, WorkerId};
use crate::keeping::Kept;
use crate::learning::{DivergenceSign, LearningMonitor, Losses};
use crate::report::{
    EvaluationReport, FinalReport, LostMember, PassReport, ServerReport, Timings, WentBack,
    WorkerCounters, WorkerReport,
};
use crate::settings::TrainingSettings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Lost members that are remembered one by one; a member that comes and goes must not grow this.
const LOST_MAX: usize = 1000;

/// The processes that had one rank.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Rank {
    address: String,
    registrations: u64,
    /// Whether nothing was counted since the last registration, which may be another process's.
    is_new: bool,
    /// Of processes that are gone.
    past: WorkerCounters,
    present: WorkerCounters,
}

impl Rank {
    fn counters(&self) -> WorkerCounters {
        let mut counters = self.past.clone();
        counters.add(&self.present);
        counters
    }

    fn report(&self) -> WorkerReport {
        let counters = self.counters();
        WorkerReport {
            address: self.address.clone(),
            registrations: self.registrations,
            staleness_p50: counters.staleness.p50(),
            staleness_p99: counters.staleness.p99(),
            staleness_max: counters.staleness.max(),
            counters,
        }
    }
}

/// Everything that is written down.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    ranks: BTreeMap<WorkerId, Rank>,
    losses: LossCurve,
    monitor: LearningMonitor,
    passes: BTreeMap<u64, PassReport>,
    /// In order; those of this life of the job.
    evaluations: Vec<EvaluationReport>,
    final_metrics: Option<FinalReport>,
    /// The evaluation whose weights are the model, unless those are the last ones.
    kept: Option<Kept>,
    /// What the model was trained with.
    #[serde(default)]
    held: Option<TrainingSettings>,
    servers: BTreeMap<ShardId, ServerReport>,
    lost: Vec<LostMember>,
    went_back: Vec<WentBack>,
    /// How often the process of each was started again, and lost nothing.
    came_back: BTreeMap<String, u64>,
    last_losses: Losses,
    /// Seconds of training in earlier lives of the job.
    earlier_seconds: f64,
    training_began: Option<Duration>,
    training_ended: Option<Duration>,
    saved: Option<Duration>,
    evaluated: Option<Duration>,
}

impl Record {
    pub(super) fn joined(&mut self, rank: WorkerId, address: String) {
        let rank = self.ranks.entry(rank).or_default();
        rank.address = address;
        rank.registrations += 1;
        rank.is_new = true;
    }

    /// Takes a worker's newest counters. Lower ones than before are those of another process, if one has registered
    /// since, and else of a heartbeat that was overtaken by a later one.
    pub(super) fn count(&mut self, rank: WorkerId, counters: WorkerCounters) {
        let rank = self.ranks.entry(rank).or_default();
        let is_new = std::mem::take(&mut rank.is_new);
        if counters.steps < rank.present.steps {
            if !is_new {
                return;
            }
            rank.past.add(&rank.present);
        }
        let loss = counters.loss_last.filter(|_| counters.steps > rank.present.steps);
        rank.present = counters;
        if let Some(loss) = loss {
            let steps = self.ranks.values().map(|rank| rank.past.steps + rank.present.steps).sum();
            self.losses.add(steps, loss);
        }
    }

    pub(super) fn lost(&mut self, member: MemberId, address: &str, reason: &str, after: Duration) {
        if self.lost.len() < LOST_MAX {
            self.lost.push(LostMember {
                member: member.to_string(),
                address: address.to_owned(),
                reason: reason.to_owned(),
                seconds: after.as_secs_f64(),
            });
        }
    }

    /// A server went back alone.
    pub(super) fn went_back(&mut self, went_back: WentBack) {
        if self.went_back.len() < LOST_MAX {
            self.went_back.push(went_back);
        }
    }

    /// Servers that went back alone, in this life of the job and before.
    pub(super) fn went_back_alone(&self) -> &[WentBack] {
        &self.went_back
    }

    /// Another process goes on for the master, or a server, with all that it had acknowledged.
    pub(super) fn came_back(&mut self, member: String) {
        *self.came_back.entry(member).or_default() += 1;
    }

    pub(super) fn training_began(&mut self, now: Duration) {
        self.training_began.get_or_insert(now);
    }

    pub(super) fn training_ended(&mut self, now: Duration) {
        self.training_ended.get_or_insert(now);
    }

    /// The job goes on, though it was about to end.
    pub(super) fn training_goes_on(&mut self) {
        (self.training_ended, self.saved, self.evaluated) = (None, None, None);
    }

    pub(super) fn saved(&mut self, written: ModelWritten, now: Duration) {
        (self.servers, self.kept) = (written.servers, written.kept);
        (self.held, self.saved) = (written.settings, Some(now));
    }

    /// The data are known, and with them how many steps a pass has.
    pub(super) fn watch(&mut self, steps_per_pass: u64) {
        self.monitor = LearningMonitor::new(steps_per_pass);
    }

    pub(super) fn monitor(&self) -> &LearningMonitor {
        &self.monitor
    }

    pub(super) fn lease_done(&mut self, losses: &Losses) -> Option<DivergenceSign> {
        self.last_losses = *losses;
        self.monitor.observe(losses)
    }

    /// Goes on with what an earlier life of the job wrote down.
    pub(super) fn resume(&mut self, state: JobState) {
        let passes = state.passes.into_iter();
        self.passes = passes.map(|pass| (pass.pass.saturating_sub(1), pass)).collect();
        self.monitor = state.learning;
        self.earlier_seconds = state.seconds;
        self.went_back = state.servers_went_back;
    }

    /// What the last evaluation found.
    pub(super) fn final_metrics(&self) -> Option<&FinalReport> {
        self.final_metrics.as_ref()
    }

    /// The passes that are over.
    pub(super) fn passes(&self) -> Vec<PassReport> {
        self.passes.values().cloned().collect()
    }

    /// How long the job has trained, in all of its lives.
    pub(super) fn seconds(&self, now: Duration) -> f64 {
        self.earlier_seconds + seconds_between(self.training_began, self.training_ended, now)
    }

    pub(super) fn pass_ended(&mut self, end: &PassEnd, now: Duration) -> Option<DivergenceSign> {
        let PassEnd { pass, losses, skipped } = end;
        let report = PassReport {
            pass: pass + 1,
            train_loss: losses.mean(),
            steps_not_finite: losses.steps_not_finite,
            samples_skipped: skipped.values().sum(),
            seconds: self.seconds(now),
            ..PassReport::default()
        };
        self.passes.insert(*pass, report);
        self.monitor.pass_ended(*pass, losses)
    }

    fn timings(&self, started: Duration, now: Duration) -> Timings {
        Timings {
            waiting: seconds_between(Some(started), self.training_began, now),
            training: seconds_between(self.training_began, self.training_ended, now),
            saving: seconds_between(self.training_ended, self.saved, now),
            evaluating: seconds_between(self.saved, self.evaluated, now),
        }
    }

    /// Whether any worker finished a step in this life of the job.
    pub(super) fn has_steps(&self) -> bool {
        self.counters().steps > 0
    }

    /// Samples of the steps that workers have finished in this life of the job, of leases that are out
    /// too.
    pub(super) fn samples_trained(&self) -> u64 {
        let samples = |rank: &Rank| rank.past.samples.saturating_add(rank.present.samples);
        self.ranks.values().map(samples).fold(0, u64::saturating_add)
    }

    /// What all workers counted together.
    fn counters(&self) -> WorkerCounters {
        let mut sum = WorkerCounters::default();
        self.ranks.values().for_each(|rank| sum.add(&rank.counters()));
        sum
    }

    fn workers(&self) -> BTreeMap<WorkerId, WorkerReport> {
        let report = |(&index, rank): (&WorkerId, &Rank)| {
            let mut report = rank.report();
            // A program of the user's tells nobody what it has done: the servers know.
            if report.counters.steps == 0 {
                let seen = |server: &ServerReport| server.worker_steps.get(&index).copied();
                report.counters.steps = self.servers.values().filter_map(seen).max().unwrap_or(0);
            }
            (index, report)
        };
        self.ranks.iter().map(report).collect()
    }
}

/// What has not happened yet may happen now.
fn seconds_between(from: Option<Duration>, to: Option<Duration>, now: Duration) -> f64 {
    to.unwrap_or(now).saturating_sub(from.unwrap_or(now)).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A heartbeat that came late was taken for another process's: all that its worker had counted was counted twice.
    #[test]
    fn regression_a_heartbeat_that_was_overtaken_counts_nothing_twice() {
        let mut record = Record::default();
        let count = |record: &mut Record, steps| {
            record.count(0, WorkerCounters { steps, ..WorkerCounters::default() });
            record.ranks[&0].counters().steps
        };
        record.joined(0, "here:1".into());
        let counted = [10, 9, 12].map(|steps| count(&mut record, steps));
        assert_eq!(counted, [10, 10, 12]);
        // Another process begins anew; the same one, which was expired, goes on.
        record.joined(0, "there:1".into());
        let counted = [3, 2, 5].map(|steps| count(&mut record, steps));
        assert_eq!(counted, [15, 15, 17]);
        record.joined(0, "there:1".into());
        assert_eq!(count(&mut record, 6), 18);
    }
}
