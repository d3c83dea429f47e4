//! What is remembered for the metric lines, the progress and the report.

use super::agreement::holder;
use super::leases::PassEnd;
use super::types::{Action, EvaluationResult, Level, Role, Seat};
use super::{Leases, Machine};
use crate::ids::WorkerId;
use crate::learning::{Losses, Verdict};
use crate::progress::Snapshot;
use crate::report::{
    FinalReport, LostMember, Outcome, PassReport, Report, ServerReport, SkippedShare, Timings,
    WorkerCounters, WorkerReport,
};
use crate::staleness::Staleness;
use std::collections::BTreeMap;
use std::time::Duration;

/// Lost members that are remembered one by one; a member that comes and goes must not grow this.
const LOST_MAX: usize = 1000;

/// The processes that had one rank.
#[derive(Clone, Debug, Default)]
struct Rank {
    address: String,
    registrations: u64,
    /// Of processes that are gone.
    past: WorkerCounters,
    present: WorkerCounters,
}

/// Everything that is written down.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    ranks: BTreeMap<WorkerId, Rank>,
    passes: BTreeMap<u64, PassReport>,
    final_metrics: Option<FinalReport>,
    servers: BTreeMap<u32, ServerReport>,
    lost: Vec<LostMember>,
    last_losses: Losses,
    /// Seconds of training in earlier lives of the job.
    earlier_seconds: f64,
    training_began: Option<Duration>,
    training_ended: Option<Duration>,
    saved: Option<Duration>,
    evaluated: Option<Duration>,
}

impl Record {
    pub(super) fn joined(&mut self, rank: WorkerId, address: &str) {
        let rank = self.ranks.entry(rank).or_default();
        rank.address = address.to_owned();
        rank.registrations += 1;
    }

    /// Takes a worker's newest counters; lower ones than before are those of another process.
    pub(super) fn count(&mut self, rank: WorkerId, counters: &WorkerCounters) {
        let rank = self.ranks.entry(rank).or_default();
        if counters.steps < rank.present.steps {
            let past = std::mem::take(&mut rank.present);
            rank.past.add(&past);
        }
        rank.present = counters.clone();
    }

    pub(super) fn lost(&mut self, seat: Seat, address: &str, reason: &str, after: Duration) {
        if self.lost.len() < LOST_MAX {
            self.lost.push(LostMember {
                member: seat.to_string(),
                address: address.to_owned(),
                reason: reason.to_owned(),
                seconds: after.as_secs_f64(),
            });
        }
    }

    pub(super) fn training_began(&mut self, now: Duration) {
        self.training_began.get_or_insert(now);
    }

    pub(super) fn training_ended(&mut self, now: Duration) {
        self.training_ended.get_or_insert(now);
    }

    pub(super) fn saved(&mut self, servers: BTreeMap<u32, ServerReport>, now: Duration) {
        self.servers = servers;
        self.saved = Some(now);
    }

    pub(super) fn evaluated(&mut self, now: Duration) {
        self.evaluated = Some(now);
    }

    pub(super) fn lease_done(&mut self, losses: &Losses) {
        self.last_losses = *losses;
    }

    /// Goes on with what an earlier life of the job wrote down.
    pub(super) fn resume(&mut self, passes: Vec<PassReport>, seconds: f64) {
        self.passes = passes.into_iter().map(|pass| (pass.pass.saturating_sub(1), pass)).collect();
        self.earlier_seconds = seconds;
    }

    /// The passes that are over.
    pub(super) fn passes(&self) -> Vec<PassReport> {
        self.passes.values().cloned().collect()
    }

    /// How long the job has trained, in all of its lives.
    pub(super) fn seconds(&self, now: Duration) -> f64 {
        let began = self.training_began.unwrap_or(now);
        let until = self.training_ended.unwrap_or(now);
        self.earlier_seconds + until.saturating_sub(began).as_secs_f64()
    }

    pub(super) fn pass_ended(&mut self, end: &PassEnd, now: Duration) {
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
    }

    fn timings(&self, started: Duration, now: Duration) -> Timings {
        let between = |from: Option<Duration>, to: Option<Duration>| {
            let from = from.unwrap_or(now);
            to.unwrap_or(now).saturating_sub(from).as_secs_f64()
        };
        Timings {
            waiting: between(Some(started), self.training_began),
            training: between(self.training_began, self.training_ended),
            saving: between(self.training_ended, self.saved),
            evaluating: between(self.saved, self.evaluated),
        }
    }

    fn workers(&self) -> BTreeMap<u32, WorkerReport> {
        let report = |rank: &Rank| {
            let mut counters = rank.past.clone();
            counters.add(&rank.present);
            WorkerReport {
                address: rank.address.clone(),
                registrations: rank.registrations,
                staleness_p50: counters.staleness.p50(),
                staleness_p99: counters.staleness.p99(),
                staleness_max: counters.staleness.max(),
                counters,
            }
        };
        self.ranks.iter().map(|(&index, rank)| (index, report(rank))).collect()
    }
}

impl Machine {
    /// Writes down the evaluation after a pass, for people and machines.
    pub(super) fn record_pass(&mut self, result: &EvaluationResult, samples_done: u64) {
        let Some(pass) = self.record.passes.get_mut(&result.task.pass) else {
            return;
        };
        pass.test_loss = finite(result.loss);
        pass.test_accuracy = result.accuracy;
        pass.samples_done_at_evaluation = Some(samples_done);
        let mut line = format!("pass={};", pass.pass);
        if let Some(accuracy) = pass.test_accuracy {
            line.push_str(&format!(" test_accuracy={accuracy:.4};"));
        }
        // Without test samples there is no loss on them.
        if result.samples > 0 {
            line.push_str(&format!(" test_loss={:.4};", result.loss));
        }
        if let Some(loss) = pass.train_loss {
            line.push_str(&format!(" train_loss={loss:.4};"));
        }
        self.actions.push(Action::Metric(line));
    }

    /// Writes down the evaluation of the written weights.
    pub(super) fn record_final(&mut self, result: &EvaluationResult, weights_match: bool) {
        // No push came after the last pass: these are its weights, too.
        let last = self.record.passes.get(&result.task.pass);
        if last.is_some_and(|pass| pass.samples_done_at_evaluation.is_none()) {
            self.record_pass(result, self.samples_done());
        }
        self.record.final_metrics = Some(FinalReport {
            test_loss: finite(result.loss),
            test_accuracy: result.accuracy,
            samples: result.samples,
            weights_match,
        });
        if let Some(accuracy) = result.accuracy {
            self.actions.push(Action::Metric(format!("final_test_accuracy={accuracy:.4};")));
        }
        if result.samples > 0 {
            self.actions.push(Action::Metric(format!("final_test_loss={:.4};", result.loss)));
        } else {
            let message = "no test data: loss and accuracy of the model on unseen samples are not \
                           known; give --test or put a test set into --data";
            self.log(Level::Warn, message);
        }
    }

    /// The report as things stand.
    pub(super) fn report(&mut self, code: u8, reason: Option<String>, now: Duration) -> Report {
        let verdict = self.watch.verdict();
        if verdict == Verdict::DidNotImprove {
            self.log(Level::Warn, "the loss did not fall: this run did not learn");
        }
        let servers = self.record.servers.clone();
        let skipped = self.skipped();
        Report {
            outcome: Outcome { exit_code: code, reason },
            settings: self.config.settings.clone(),
            resumed: self.checkpoints.resumed,
            checkpoint: self.checkpoints.newest(),
            train_samples: self.leases.as_ref().map_or(0, |leases| leases.samples()),
            passes: self.record.passes(),
            final_metrics: self.record.final_metrics.clone(),
            learning: verdict,
            start_loss: self.watch.start_loss(),
            workers: self.record.workers(),
            imbalance: Report::imbalance_of(&servers),
            servers,
            samples_skipped: skipped.iter().map(|share| share.samples).sum(),
            skipped,
            lost: self.record.lost.clone(),
            timings: self.record.timings(self.started, now),
        }
    }

    fn skipped(&self) -> Vec<SkippedShare> {
        let skipped = self.leases.iter().flat_map(|leases| leases.skipped());
        let share =
            |(source, samples)| SkippedShare { member: holder(source).to_string(), samples };
        skipped.map(share).collect()
    }

    /// How far the job is, for people.
    pub fn snapshot(&self) -> Snapshot {
        let progress = self.progress();
        let mut staleness = Staleness::default();
        let mut steps = 0_u64;
        for rank in self.record.ranks.values() {
            for counters in [&rank.past, &rank.present] {
                staleness.merge(&counters.staleness);
                steps = steps.saturating_add(counters.steps);
            }
        }
        Snapshot {
            phase: self.phase.name(),
            pass: self.leases.as_ref().map_or(0, |leases| leases.pass() + 1),
            passes: self.leases.as_ref().map_or(self.config.settings.passes, Leases::passes),
            samples_done: progress.samples_done,
            samples_total: progress.samples_total,
            steps,
            loss: self.record.last_losses.mean(),
            staleness_p50: staleness.p50(),
            staleness_max: staleness.max(),
            workers: self.places.live(Role::Worker).count(),
        }
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
