//! Has shards go on from a checkpoint.

use super::event::event;
use super::{Driver, spawn};
use ps_core::ids::{Epoch, Life};
use ps_core::master::ShardRestore;
use tokio::task::JoinSet;

impl Driver {
    /// What was begun with other servers is given up.
    pub(super) fn restore(&mut self, epoch: Epoch, life: Life) {
        self.restoring = JoinSet::new();
        let Some(catalog) = self.catalog.clone() else {
            return;
        };
        let (cluster, settings) = (self.membership.cluster(), self.settings.clone());
        spawn(&mut self.restoring, &self.sender, async move {
            let restored = catalog.restore(&cluster, life, &settings).await.map(Box::new);
            event(move |machine, now| machine.restored(epoch, restored, now))
        });
    }

    /// Has one shard go back to a checkpoint.
    pub(super) fn restore_part(&mut self, restore: ShardRestore) {
        let Some(catalog) = self.catalog.clone() else {
            return;
        };
        let (cluster, settings) = (self.membership.cluster(), self.settings.clone());
        spawn(&mut self.saving, &self.sender, async move {
            let restored = catalog.restore_part(&cluster, &restore, &settings).await;
            let asked = (restore.shard, restore.epoch);
            event(move |machine, now| machine.shard_restored(asked, restored, now))
        });
    }
}
