//! What the driver's own tasks have to say.

use ps_core::master::{Machine, ModelWritten, RestoredCheckpoint};
use std::time::Duration;

/// The end of something that the driver had done beside itself.
pub(super) enum Event {
    /// A shard knows this revision of the membership.
    MembershipAcknowledged { shard: u32, revision: u64 },
    /// A shard does not listen to this master.
    ShardRefused { shard: u32, message: String },
    /// The model is written, or cannot be.
    ModelWritten(Result<ModelWritten, String>),
    /// The servers hold no model.
    NoModel,
    /// A checkpoint is complete, or cannot be.
    CheckpointWritten { number: u64, written: Result<(), String> },
    /// The shards of an epoch hold what a checkpoint saved, or cannot.
    Restored { epoch: u64, restored: Result<Box<RestoredCheckpoint>, String> },
}

impl Event {
    /// Tells the machine.
    pub(super) fn apply(self, machine: &mut Machine, now: Duration) {
        match self {
            Self::MembershipAcknowledged { shard, revision } => {
                machine.membership_acknowledged(shard, revision, now);
            }
            Self::ShardRefused { shard, message } => machine.shard_refused(shard, &message, now),
            Self::ModelWritten(written) => machine.model_written(written, now),
            Self::NoModel => machine.no_model(now),
            Self::CheckpointWritten { number, written } => {
                machine.checkpoint_written(number, written, now);
            }
            Self::Restored { epoch, restored } => machine.restored(epoch, restored, now),
        }
    }
}
