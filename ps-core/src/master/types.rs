//! What goes into the machine and what comes out of it.

use crate::checkpoint::JobState;
use crate::data_description::DataDescription;
use crate::gate::Member;
use crate::ids::{Clock, Epoch, Incarnation, ShardId, WorkerId};
use crate::learning::Losses;
use crate::report::{Report, ServerReport, WorkerCounters};
use crate::settings::TrainingSettings;
use std::collections::BTreeMap;
use std::time::Duration;

/// What the machine is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Servers that the model is cut over.
    pub servers: u32,
    /// Workers that may join; the job starts with the first.
    pub workers: u32,
    /// How to train.
    pub settings: TrainingSettings,
    /// How long a member may be silent.
    pub lease: Duration,
    /// How long a worker may hold samples without finishing a step, unless it waits for others.
    pub step_timeout: Duration,
    /// How long servers and the first worker may take to register.
    pub start_timeout: Duration,
    /// How long the end waits for workers in the middle of a lease.
    pub barrier_timeout: Duration,
    /// How long the final evaluation may take.
    pub evaluation_timeout: Duration,
    /// Whether checkpoints are written.
    pub checkpoints: bool,
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Holds a shard.
    Server,
    /// Trains.
    Worker,
    /// Measures, never pushes.
    Evaluator,
}

/// A place in the job: a shard, a worker's rank, or the evaluator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    /// What the member is.
    pub role: Role,
    /// Shard or rank; 0 for the evaluator.
    pub index: u32,
}

impl std::fmt::Display for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.role {
            Role::Server => write!(f, "server shard {}", self.index),
            Role::Worker => write!(f, "worker {}", self.index),
            Role::Evaluator => write!(f, "the evaluator"),
        }
    }
}

/// A process that wants to join.
#[derive(Clone, Debug)]
pub struct Registration {
    /// As what.
    pub role: Role,
    /// Drawn once per process.
    pub token: u64,
    /// A server's shard, or the rank that a worker prefers.
    pub index: Option<u32>,
    /// Where it is.
    pub address: String,
    /// What training data a worker or the evaluator has.
    pub data: DataDescription,
    /// The newest epoch that a server has seen.
    pub epoch: Epoch,
}

/// The answer to a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Shard, rank, or 0.
    pub index: u32,
    /// In which of the place's lives.
    pub incarnation: Incarnation,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its place.
    pub seat: Seat,
    /// In which of the place's lives.
    pub incarnation: Incarnation,
}

/// A sign of life.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// Whose.
    pub caller: Caller,
    /// Steps finished in all.
    pub clock: Clock,
    /// The worker is held by others, not by itself.
    pub waiting: bool,
    /// What it counted.
    pub counters: Option<WorkerCounters>,
    /// It received a signal and leaves when it may.
    pub leaving: bool,
}

/// The answer to a sign of life.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// Where the shards are, once every server is there.
    pub shard_map: Option<ShardMap>,
    /// How far the job is.
    pub progress: JobProgress,
    /// The member may leave.
    pub leave: Option<Leave>,
    /// No new step.
    pub stop: bool,
    /// What the members have together, once that is settled.
    pub data: Option<DataDescription>,
}

/// Where the shards are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardMap {
    /// Its generation.
    pub epoch: Epoch,
    /// Address of shard i at position i.
    pub addresses: Vec<String>,
}

/// Samples done of the whole job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobProgress {
    /// Done, over all passes.
    pub samples_done: u64,
    /// In all, over all passes.
    pub samples_total: u64,
}

/// Permission to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    /// What the member exits with.
    pub exit_code: u8,
    /// Why, when the job failed.
    pub reason: String,
}

/// A report of work done, and the wish for more.
#[derive(Clone, Debug)]
pub struct TaskRequest {
    /// Who asks.
    pub caller: Caller,
    /// Grows by one per new request; a repeated number gets the same answer.
    pub number: u64,
    /// The lease that was finished.
    pub finished: Option<LeaseResult>,
    /// The evaluation that was finished.
    pub evaluated: Option<EvaluationResult>,
}

/// A finished lease.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeaseResult {
    /// Which lease.
    pub lease: u64,
    /// Samples that it had: nobody knows how many a stream has until it was read.
    pub samples: u64,
    /// The losses of its steps.
    pub losses: Losses,
}

/// A finished evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationResult {
    /// What was to be evaluated.
    pub task: EvaluateTask,
    /// Mean loss.
    pub loss: f64,
    /// Share of the samples that were classified rightly.
    pub accuracy: Option<f64>,
    /// Test samples.
    pub samples: u64,
    /// CRC-32 of the weights that were evaluated.
    pub weights_digest: u32,
    /// Why there is no result.
    pub error: Option<String>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Train on a lease.
    Train(TrainTask),
    /// Measure.
    Evaluate(EvaluateTask),
    /// Ask again after this time.
    Wait(Duration),
}

/// A lease on positions of a pass's permutation of one source's samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainTask {
    /// Its number, never used twice.
    pub lease: u64,
    /// From 0.
    pub pass: u64,
    /// First position.
    pub start: u64,
    /// One after the last position.
    pub end: u64,
    /// How far the job is.
    pub progress: JobProgress,
    /// Smallest clock of the active workers that the master knows.
    pub start_clock: Clock,
    /// Whose samples: 0 is for every worker, `1 + rank` is that worker's own.
    pub source: u32,
    /// Samples of the source; 0 where nobody knows.
    pub source_samples: u64,
    /// Who serves the samples, when the worker does not have them itself.
    pub served_at: Option<String>,
    /// A whole pass of a stream, or a program: positions mean nothing.
    pub whole: bool,
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluateTask {
    /// After which pass, from 0.
    pub pass: u64,
    /// On the weights that were written.
    pub is_final: bool,
}

/// What every shard must know of the workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Where the shards are, and in which epoch.
    pub shard_map: ShardMap,
    /// Grows with every change.
    pub revision: u64,
    /// Every rank that was ever taken.
    pub workers: Vec<Member>,
}

/// The weights are on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelWritten {
    /// CRC-32 of the weights.
    pub digest: u32,
    /// What the servers had counted.
    pub servers: BTreeMap<ShardId, ServerReport>,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Good to know.
    Info,
    /// Not as it should be, and the job goes on.
    Warn,
    /// Something is lost, or the job fails.
    Error,
}

/// What the folder for checkpoints holds at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Whether there are checkpoints of an earlier life, usable or not.
    pub has_any: bool,
    /// The first number that no file has.
    pub next_number: u64,
    /// The newest epoch that any of them tells of.
    pub epoch: Epoch,
    /// The newest incarnation of each rank that any of them tells of.
    pub incarnations: BTreeMap<WorkerId, Incarnation>,
}

/// A checkpoint to write.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Its number.
    pub number: u64,
    /// Complete ones that must stay, the newest first; older ones go.
    pub keep: Vec<u64>,
    /// What the manifest says of the job.
    pub state: JobState,
}

/// A checkpoint that all shards have restored.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// Its number.
    pub number: u64,
    /// What its manifest says of the job.
    pub state: JobState,
    /// Older complete ones, the newest first.
    pub older: Vec<u64>,
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Tell every shard, again and again until each has acknowledged it or there is a newer one.
    SetMembership(Membership),
    /// Read the weights and write them; then call [`super::Machine::model_written`].
    SaveModel,
    /// Have every shard write its part, then write the manifest; then call
    /// [`super::Machine::checkpoint_written`].
    Checkpoint(Box<Checkpoint>),
    /// Have these shards restore the newest checkpoint that can be used; then call
    /// [`super::Machine::restored`].
    Restore(ShardMap),
    /// Write the report.
    WriteReport(Box<Report>),
    /// A line for machines.
    Metric(String),
    /// A line for people.
    Log(Level, String),
    /// Everybody was told: leave.
    Finished {
        /// What the master exits with.
        exit_code: u8,
        /// Why, when the job failed.
        reason: Option<String>,
    },
}

pub use super::other_data::OtherData;

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The place is held by a live process.
    #[error(
        "{seat} is taken by a live process at {holder}; the one at {asker} gets it when that \
         one's lease is over"
    )]
    Taken {
        /// Which place.
        seat: Seat,
        /// Where its holder is.
        holder: String,
        /// Where the caller is.
        asker: String,
    },
    /// Every rank is held by a live process.
    #[error(
        "all {workers} worker ranks are taken (by {holders}); the worker at {asker} can join when \
         one is free: start fewer workers or the master with a larger --workers"
    )]
    Full {
        /// How many there are.
        workers: u32,
        /// Where their holders are.
        holders: String,
        /// Where the caller is.
        asker: String,
    },
    /// There is no such shard or rank.
    #[error(
        "{seat} at {asker}: this job has {count}, numbered from 0; start it with another index"
    )]
    NoSuchPlace {
        /// What was asked for.
        seat: Seat,
        /// Where the caller is.
        asker: String,
        /// How many places there are.
        count: u32,
    },
    /// A server did not say which shard it holds.
    #[error("the server at {asker} names no shard: start it with --shard I")]
    NoIndex {
        /// Where the caller is.
        asker: String,
    },
    /// The member has other data than the others.
    #[error(transparent)]
    OtherData(#[from] OtherData),
    /// The worker sees no data.
    #[error("the worker at {asker} sees no training samples: check its --data")]
    NoSamples {
        /// Where the caller is.
        asker: String,
    },
    /// The caller's lease expired, or it never registered.
    #[error("{seat} incarnation {found} is over, the next is {current}: register anew")]
    Stale {
        /// Whose.
        seat: Seat,
        /// The caller's.
        found: Incarnation,
        /// The place's.
        current: Incarnation,
    },
    /// Nobody joins any more.
    #[error("the job is over: {reason}")]
    JobOver {
        /// Why.
        reason: String,
    },
}
