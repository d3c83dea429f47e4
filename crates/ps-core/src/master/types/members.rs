//! Who is in the job, and what members say and are told.

use crate::data_description::DataDescription;
use crate::gate::Member;
use crate::ids::{Clock, Epoch, Incarnation, Life, ShardId};
use crate::model_config::About;
use crate::report::WorkerCounters;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// Holds a shard.
    Server,
    /// Trains.
    Worker,
    /// Measures, never pushes.
    Evaluator,
}

/// A place in the job: a shard, a worker's rank, or the evaluator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MemberId {
    /// What the member is.
    pub role: Role,
    /// Shard, rank, or 0 for the evaluator that measures.
    pub index: u32,
}

impl MemberId {
    /// The evaluator that measures, and serves what samples it has; others stand by.
    pub const EVALUATOR: Self = Self { role: Role::Evaluator, index: 0 };

    /// The server of a shard.
    pub fn server(shard: u32) -> Self {
        Self { role: Role::Server, index: shard }
    }

    /// The evaluator of a place.
    pub fn evaluator(index: u32) -> Self {
        Self { role: Role::Evaluator, index }
    }

    /// The worker of a rank.
    pub fn worker(rank: u32) -> Self {
        Self { role: Role::Worker, index: rank }
    }
}

impl std::fmt::Display for MemberId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.role {
            Role::Server => write!(f, "server shard {}", self.index),
            Role::Worker => write!(f, "worker {}", self.index),
            Role::Evaluator if self.index == 0 => write!(f, "the evaluator"),
            Role::Evaluator => write!(f, "evaluator {}", self.index),
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
    /// The highest life, epoch or incarnation that a server has heard of.
    pub highest: Life,
    /// The job's life that a server was last told of; 0 when it was told of none.
    pub life: Life,
    /// Whether a server holds a model.
    pub holds_weights: bool,
    /// Whether what it holds, perhaps nothing, is all that a process had acknowledged that is gone.
    pub recovered: bool,
    /// Whether it takes the place of a server that was seen to die, holds nothing, and is to go back to a checkpoint, alone.
    pub goes_back: bool,
    /// Whether an evaluator writes the best weights where the master finds them.
    pub keeps_best: bool,
    /// What it knows of the model, for a master that was not told.
    pub about: Option<Box<About>>,
}

/// The answer to a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterReply {
    /// Shard, rank, or 0.
    pub index: u32,
    /// In which of the place's lives.
    pub incarnation: Incarnation,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Its place.
    pub member: MemberId,
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
    /// With `leaving`: it was no signal, the process that started it is gone.
    pub parent_gone: bool,
    /// Of the shard map that it knows; 0 when it knows none.
    pub map_revision: u64,
    /// Of a server: it holds a model.
    pub holds_weights: bool,
    /// Of a server: the version of its chunk that was updated most.
    pub updates: u64,
}

/// The answer to a sign of life.
#[derive(Clone, Debug, PartialEq)]
pub struct HeartbeatReply {
    /// Where the shards are, once every server is there, if the member does not know it.
    pub shard_map: Option<ShardMapUpdate>,
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardMap {
    /// Its generation.
    pub epoch: Epoch,
    /// Address of shard i at position i.
    pub addresses: Vec<String>,
    /// Elements of a chunk, where the servers go on from a checkpoint.
    pub chunk_elements: Option<u32>,
}

/// The shard map as members are told it, when it changed or another server is away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardMapUpdate {
    /// Grows with every change; 0 where nothing is known.
    pub revision: u64,
    /// Where the shards are.
    pub map: ShardMap,
    /// Servers that are silent, and waited for.
    pub away: Vec<AwayServer>,
}

/// A server that is silent and may come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwayServer {
    /// What it holds.
    pub shard: ShardId,
    /// How long nothing was heard of it.
    pub silent: Duration,
    /// How much longer it is waited for.
    pub left: Duration,
}

/// Samples done of the whole job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Whether the job goes on from what its servers keep when it is started again.
    pub goes_on: bool,
}

/// What every shard must know of the workers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Where the shards are, and in which epoch.
    pub shard_map: ShardMap,
    /// The job's life: incarnations below it are over.
    pub life: Life,
    /// Grows with every change.
    pub revision: u64,
    /// Every rank that was ever taken.
    pub workers: Vec<Member>,
}

impl Membership {
    /// The highest life, epoch or incarnation that a shard has heard of which has acknowledged it.
    pub(crate) fn highest(&self) -> Life {
        let incarnations = self.workers.iter().map(|worker| worker.incarnation);
        incarnations.chain([self.life, self.shard_map.epoch]).max().unwrap_or(0)
    }
}
