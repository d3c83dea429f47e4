//! Who a client speaks for, and what its connections to the shards have in common.

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
    /// The epoch it begins in.
    pub epoch: Epoch,
    /// Address of shard i at position i.
    pub addresses: Vec<String>,
    /// How long a server may be away.
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
    epoch: AtomicU64,
    pub(crate) traffic: Traffic,
    /// Whether servers have the patience for pushes that are still computed.
    pub(crate) sends_early: AtomicBool,
}

impl ClientState {
    pub(crate) fn new(config: ClientConfig) -> Self {
        Self {
            epoch: AtomicU64::new(config.epoch),
            traffic: Traffic::default(),
            sends_early: AtomicBool::new(!config.wire.has_feedback()),
            config,
        }
    }

    /// The epoch as the servers last told it.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Takes over a newer epoch that a server told.
    pub(crate) fn adopt_epoch(&self, epoch: Epoch) {
        self.epoch.fetch_max(epoch, Ordering::Relaxed);
    }
}
