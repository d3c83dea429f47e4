//! Who a client speaks for, and what its connections to the shards have in common.

use crate::shard_map::ShardMapWatch;
use ps_core::ids::{Epoch, Incarnation, WorkerId};
use ps_core::settings::Wire;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Who a client speaks for, and with whom.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The job.
    pub job: String,
    /// The worker's rank.
    pub worker: WorkerId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Where the shards are, and in which epoch.
    pub shard_map: ShardMapWatch,
    /// How long a server may be away, unless whoever leads the job says that it is waited for.
    pub patience: Duration,
    /// How long one attempt may take before it is made again.
    pub attempt: Duration,
    /// How gradients travel, and weights that are pulled for a step.
    pub wire: Wire,
}

/// What a client counted.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Payload bytes sent, retries included.
    pub bytes_pushed: AtomicU64,
    /// Payload bytes received.
    pub bytes_pulled: AtomicU64,
    /// Attempts that had to be made again.
    pub retries: AtomicU64,
}

/// What all shard clients of one client share.
pub(crate) struct ClientState {
    pub(crate) config: ClientConfig,
    /// The newest epoch that a server told.
    told_epoch: AtomicU64,
    pub(crate) traffic: Traffic,
    /// Whether servers have the patience for pushes that are still computed.
    pub(crate) sends_early: AtomicBool,
}

impl ClientState {
    pub(crate) fn new(config: ClientConfig) -> Self {
        Self {
            told_epoch: AtomicU64::new(0),
            traffic: Traffic::default(),
            sends_early: AtomicBool::new(!config.wire.has_feedback()),
            config,
        }
    }

    /// The newest epoch that the shard map or a server told.
    pub(crate) fn epoch(&self) -> Epoch {
        self.told_epoch.load(Ordering::Relaxed).max(self.config.shard_map.epoch())
    }

    /// Takes over a newer epoch that a server told.
    pub(crate) fn adopt_epoch(&self, epoch: Epoch) {
        self.told_epoch.fetch_max(epoch, Ordering::Relaxed);
    }
}
