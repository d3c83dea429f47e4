//! What the driver has to do, and what it tells of it.

use super::{Membership, ShardMap};
use crate::checkpoint::JobState;
use crate::ids::{Epoch, Life, ShardId};
use crate::keeping::Kept;
use crate::report::{Report, ServerReport};
use crate::settings::TrainingSettings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How far a checkpoint is that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointProgress {
    /// It is being written, or is the next.
    Writing,
    /// It, or a later one, is complete.
    Written,
    /// Why it is not.
    Failed(String),
}

/// The weights are on disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelWritten {
    /// CRC-32 of the weights.
    pub digest: u32,
    /// What the servers had counted.
    pub servers: BTreeMap<ShardId, ServerReport>,
    /// What the model was trained with, as the servers hold it: a program says that to them alone.
    pub settings: Option<TrainingSettings>,
    /// The evaluation whose weights these are; `None` of those that the servers hold.
    pub kept: Option<Kept>,
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
pub struct CheckpointHistory {
    /// Whether there are checkpoints of an earlier life, usable or not.
    pub has_any: bool,
    /// The first number that no file has.
    pub next_number: u64,
}

/// A complete checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompleteCheckpoint {
    /// Its number.
    pub number: u64,
    /// Whether nothing spoke for it that the run went wrong when it was written.
    pub is_sound: bool,
}

/// A checkpoint to write.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointRequest {
    /// Its number.
    pub number: u64,
    /// Complete ones that must stay until this one is complete, the newest first; older ones go.
    pub keep: Vec<u64>,
    /// Those of them that must stay afterwards.
    pub keep_afterwards: Vec<u64>,
    /// What the manifest says of the job.
    pub state: JobState,
}

/// A checkpoint that all shards have restored.
#[derive(Clone, Debug, PartialEq)]
pub struct RestoredCheckpoint {
    /// Its number.
    pub number: u64,
    /// What its manifest says of the job.
    pub state: JobState,
    /// Elements of a chunk of its model.
    pub chunk_elements: u32,
    /// Older complete ones, the newest first.
    pub older: Vec<CompleteCheckpoint>,
}

/// A shard that is to go back to a checkpoint while the others stay where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardRestore {
    /// Which one.
    pub shard: ShardId,
    /// The epoch that it is asked in.
    pub epoch: Epoch,
    /// The job's life.
    pub life: Life,
    /// Complete checkpoints, the newest first: the first that can be used is.
    pub numbers: Vec<u64>,
}

/// What a shard holds that went back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RestoredPart {
    /// The checkpoint's number.
    pub checkpoint: u64,
    /// The version of its chunk that was updated most.
    pub updates: u64,
    /// The part of the model's weights that it holds, from 0 to 1.
    pub model_share: f64,
}

/// Why a shard does not go back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRestored {
    /// Its server is out of reach, which its lease says more of.
    Unreached(String),
    /// No checkpoint can be used.
    Unusable(String),
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Tell every shard, again and again until each has acknowledged it or there is a newer one.
    SetMembership(Membership),
    /// Read the weights and write them; then call [`crate::master::Machine::model_written`].
    SaveModel {
        /// After a signal: how long it may take.
        within: Option<Duration>,
        /// Start weights that no push has changed are no model: [`crate::master::Machine::no_model`].
        if_trained: bool,
        /// Weights that are kept already, to be written instead of those of the servers.
        kept: Option<Box<Kept>>,
    },
    /// Look for the weights that this job keeps, where the evaluator writes them; then call
    /// [`crate::master::Machine::kept_found`].
    FindKept(Life),
    /// Have every shard write its part, then write the manifest; then call
    /// [`crate::master::Machine::checkpoint_written`].
    WriteCheckpoint(Box<CheckpointRequest>),
    /// Have these shards restore the newest checkpoint that can be used, in this life of the job; then
    /// call [`crate::master::Machine::restored`].
    Restore(ShardMap, Life),
    /// Have one shard go back to a checkpoint; then call [`crate::master::Machine::shard_restored`].
    RestoreShard(ShardRestore),
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
