//! What a job did, for a file that machines read and a summary that people read.

mod server_loss;
mod summary;

pub use server_loss::{CameBack, WentBack};

use crate::keeping::Kept;
use crate::learning::{LearningStatus, Rise};
use crate::scores::{EvaluationSet, ScoresReport};
use crate::settings::TrainingSettings;
use crate::staleness::Staleness;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The whole report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How the job ended.
    pub outcome: Outcome,
    /// How it was trained.
    pub settings: TrainingSettings,
    /// What it went on from; `None` when it began at the start.
    pub resumed: Option<Resumed>,
    /// The newest complete checkpoint.
    pub checkpoint: Option<u64>,
    /// Training samples of one pass; 0 when no worker came.
    pub train_samples: u64,
    /// One entry per finished pass, in order; those before [`Report::resumed`] are of earlier lives.
    pub passes: Vec<PassReport>,
    /// One entry per evaluation during training, in order, of this life of the job.
    #[serde(default)]
    pub evaluations: Vec<EvaluationReport>,
    /// Evaluations that were due and not done, because the evaluator was still at an earlier one.
    #[serde(default)]
    pub evaluations_skipped: u64,
    /// The evaluation whose weights the model is; `None` where it is the last ones.
    #[serde(default)]
    pub kept: Option<Kept>,
    /// Why training ended before its last pass, if that was for want of an improvement.
    #[serde(default)]
    pub early_stop: Option<String>,
    /// Measured on exactly the weights that were written.
    pub final_metrics: Option<FinalReport>,
    /// Whether it learned.
    pub learning: LearningStatus,
    /// Mean loss of the first steps.
    pub start_loss: Option<f64>,
    /// Losses of steps in this life of the job, thinned to what can be drawn.
    #[serde(default)]
    pub loss_curve: Vec<CurvePoint>,
    /// How far the loss rose above that, if it did.
    #[serde(default)]
    pub rise: Option<Rise>,
    /// By rank; the counts of all processes that had the rank.
    pub workers: BTreeMap<u32, WorkerReport>,
    /// By shard; empty when the weights were never read.
    pub servers: BTreeMap<u32, ServerReport>,
    /// Largest share of the weights on one server over the mean share; 1 is perfect balance.
    pub imbalance: Option<f64>,
    /// Samples that were skipped, over all passes, because only a member that was away has them.
    #[serde(default)]
    pub samples_skipped: u64,
    /// The same by member.
    #[serde(default)]
    pub skipped: Vec<SkippedShare>,
    /// Members whose lease expired.
    pub lost: Vec<LostMember>,
    /// Servers that were killed and went back to a checkpoint alone, in order: what was pushed to them since is lost.
    #[serde(default)]
    pub servers_went_back: Vec<WentBack>,
    /// The master, and servers, whose processes died and were started again, and lost nothing.
    #[serde(default)]
    pub came_back: Vec<CameBack>,
    /// Where the time went.
    pub timings: Timings,
}

/// How a job ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What every process exits with.
    pub exit_code: u8,
    /// Why, when that is not 0.
    pub reason: Option<String>,
}

/// What a job went on from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// The number of the checkpoint.
    pub checkpoint: u64,
    /// Passes that were over.
    pub passes: u64,
    /// Samples that were done, over all passes.
    pub samples_done: u64,
}

/// A point of the curve of training losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Steps of all workers together.
    pub step: u64,
    /// Mean loss of the steps that the point stands for.
    pub loss: f64,
}

/// One pass over the data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PassReport {
    /// Counted from 1.
    pub pass: u64,
    /// Mean loss over the pass's samples, each at the step that it was used in.
    pub train_loss: Option<f64>,
    /// Steps without a finite loss.
    pub steps_not_finite: u64,
    /// Samples that were skipped because only a member that was away has them.
    #[serde(default)]
    pub samples_skipped: u64,
    /// Mean loss over the test samples.
    pub test_loss: Option<f64>,
    /// Share of the test samples that were classified rightly.
    pub test_accuracy: Option<f64>,
    /// What else was measured on the test samples, by name.
    #[serde(default)]
    pub measures: BTreeMap<String, f64>,
    /// What was measured on the validation samples, where there are some, and the test samples wait for
    /// the end.
    #[serde(default)]
    pub validation: Option<ScoresReport>,
    /// Samples of the job that were done when the evaluation came back: an evaluator that is slow
    /// measures weights that are newer than its pass.
    pub samples_done_at_evaluation: Option<u64>,
    /// When the pass's last sample was done: seconds of training, in all lives of the job.
    pub seconds: f64,
}

/// One evaluation during training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvaluationReport {
    /// The pass that had ended, or was going on; from 1.
    pub pass: u64,
    /// Steps of all workers together when its weights were read.
    pub step: u64,
    /// Samples of the job that were done when it came back.
    pub samples_done: u64,
    /// Which samples it is on.
    pub set: EvaluationSet,
    /// What it found.
    pub scores: ScoresReport,
    /// Whether it was the best so far, where that is looked at.
    pub is_best: bool,
}

/// The last evaluation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FinalReport {
    /// Mean loss over the test samples.
    pub test_loss: Option<f64>,
    /// Share of the test samples that were classified rightly.
    pub test_accuracy: Option<f64>,
    /// What else was measured on the test samples, by name.
    #[serde(default)]
    pub measures: BTreeMap<String, f64>,
    /// Test samples.
    pub samples: u64,
    /// What was measured on the validation samples, where there are some.
    #[serde(default)]
    pub validation: Option<ScoresReport>,
    /// Whether the evaluated weights are the written ones, by their CRC-32.
    pub weights_match: bool,
}

impl FinalReport {
    /// Whether there was anything to measure the model on.
    pub fn has_samples(&self) -> bool {
        self.samples > 0 || self.validation.as_ref().is_some_and(|scores| scores.samples > 0)
    }

    /// A set on which the model has no finite loss, if there is one.
    pub fn set_without_loss(&self) -> Option<EvaluationSet> {
        let validation = self.validation.as_ref();
        if validation.is_some_and(|scores| scores.samples > 0 && scores.loss.is_none()) {
            return Some(EvaluationSet::Validation);
        }
        (self.samples > 0 && self.test_loss.is_none()).then_some(EvaluationSet::Test)
    }
}

/// What the workers of one rank counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// Where the last of them ran.
    pub address: String,
    /// Processes that had the rank.
    pub registrations: u64,
    /// What they counted; of a program of the user's, which counts for itself, what the servers did.
    pub counters: WorkerCounters,
    /// Half of its pushes were at most this stale.
    pub staleness_p50: u64,
    /// 99 % of its pushes were at most this stale.
    pub staleness_p99: u64,
    /// Its stalest push.
    pub staleness_max: u64,
}

/// What one worker process counted since it started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerCounters {
    /// Steps finished.
    pub steps: u64,
    /// Samples of these steps.
    pub samples: u64,
    /// Push attempts that were sent again.
    pub pushes_retried: u64,
    /// Chunks that servers refused because a value was NaN or infinite.
    pub chunks_refused: u64,
    /// Bytes of gradients sent.
    pub bytes_pushed: u64,
    /// Bytes of weights received.
    pub bytes_pulled: u64,
    /// Loss of the newest step, if it was finite.
    pub loss_last: Option<f64>,
    /// Time spent on gradients.
    pub seconds_computing: f64,
    /// Time spent on pushes and pulls, the staleness gate included.
    pub seconds_exchanging: f64,
    /// Pushes by staleness.
    pub staleness: Staleness,
}

impl WorkerCounters {
    /// Adds what another process counted.
    pub fn add(&mut self, other: &Self) {
        let sum = |mine: &mut u64, theirs: u64| *mine = mine.saturating_add(theirs);
        sum(&mut self.steps, other.steps);
        sum(&mut self.samples, other.samples);
        sum(&mut self.pushes_retried, other.pushes_retried);
        sum(&mut self.chunks_refused, other.chunks_refused);
        sum(&mut self.bytes_pushed, other.bytes_pushed);
        sum(&mut self.bytes_pulled, other.bytes_pulled);
        self.loss_last = other.loss_last.or(self.loss_last);
        self.seconds_computing += other.seconds_computing;
        self.seconds_exchanging += other.seconds_exchanging;
        self.staleness.merge(&other.staleness);
    }
}

/// What one server counted until the model was read from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerReport {
    /// Where it ran.
    pub address: String,
    /// Bytes of weights it holds.
    pub weight_bytes: u64,
    /// Pushes applied.
    pub pushes_applied: u64,
    /// Pushes that had been applied before: retries that were answered and not applied again.
    pub pushes_duplicate: u64,
    /// Pushes left unfinished by a worker that was superseded: on some chunks at most once.
    pub pushes_torn: u64,
    /// Updates of chunks applied.
    #[serde(default)]
    pub chunks_applied: u64,
    /// Chunks refused because a value was NaN or infinite.
    pub chunks_refused: u64,
    /// Calls of superseded callers.
    pub calls_fenced: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Steps of each worker that it applied, by rank: each step is on every server.
    #[serde(default)]
    pub worker_steps: BTreeMap<u32, u64>,
}

/// A member whose lease expired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LostMember {
    /// Role and number, for people.
    pub member: String,
    /// Where it ran.
    pub address: String,
    /// What was noticed.
    pub reason: String,
    /// When, since the master started.
    pub seconds: f64,
}

/// Samples that only one member has, and that were skipped because it was away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedShare {
    /// Role and number, for people.
    pub member: String,
    /// How many, over all passes.
    pub samples: u64,
}

/// Where the time went, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// From the master's start to the first lease.
    pub waiting: f64,
    /// From the first lease to the end barrier.
    pub training: f64,
    /// From the end barrier to the written model.
    pub saving: f64,
    /// From the written model to the final metrics.
    pub evaluating: f64,
}

impl Report {
    /// Largest over mean share of the weights; `None` without servers or weights.
    pub fn imbalance_of(servers: &BTreeMap<u32, ServerReport>) -> Option<f64> {
        let bytes = || servers.values().map(|server| server.weight_bytes);
        let (largest, sum) = (bytes().max()?, bytes().sum::<u64>());
        (sum > 0).then(|| largest as f64 * servers.len() as f64 / sum as f64)
    }
}
