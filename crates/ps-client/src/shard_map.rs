//! Where the shards are, as whoever leads the job last said.

use ps_core::ids::{Epoch, ShardId};
use ps_core::master::{ShardMap, ShardMapUpdate};
use tokio::sync::watch;

/// A view of the shard map, which changes when a server moves, is away or comes back.
#[derive(Clone, Debug)]
pub struct ShardMapWatch(watch::Receiver<ShardMapUpdate>);

/// Where a shard is said to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) epoch: Epoch,
    pub(crate) address: String,
    is_away: bool,
}

impl ShardMapWatch {
    /// A map that somebody changes.
    pub fn new(updates: watch::Receiver<ShardMapUpdate>) -> Self {
        Self(updates)
    }

    /// A map that never changes: these are the addresses of the shards, in their order.
    pub fn fixed(addresses: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::fixed_in(0, addresses)
    }

    /// The same, in this epoch.
    pub fn fixed_in(epoch: Epoch, addresses: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let addresses = addresses.into_iter().map(Into::into).collect();
        let map = ShardMap { epoch, addresses, chunk_elements: None };
        let update = ShardMapUpdate { revision: 1, map, away: Vec::new() };
        Self(watch::channel(update).1)
    }

    /// The map as it is now; empty before it is known.
    pub fn current(&self) -> ShardMap {
        self.0.borrow().map.clone()
    }

    /// The map, once it is known; never, when nobody is left to tell it.
    pub async fn known(&self) -> ShardMap {
        let mut updates = self.0.clone();
        let known = updates.wait_for(|update| update.revision > 0).await;
        match known.map(|update| update.map.clone()) {
            Ok(map) => map,
            Err(_) => std::future::pending().await,
        }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.0.borrow().map.epoch
    }

    /// Whether the job's leader waits for a server that is silent.
    pub(crate) fn is_away(&self, shard: ShardId) -> bool {
        is_away(&self.0.borrow(), shard)
    }

    /// Where a shard is; no place, if there is no such shard.
    pub(crate) fn place(&self, shard: ShardId) -> Option<Place> {
        place(&self.0.borrow(), shard)
    }

    /// Waits until a shard is said to be elsewhere, in another epoch, or back: whatever is called at this
    /// place may wait in vain.
    pub(crate) async fn left(&mut self, shard: ShardId, seen: &Place) {
        let mut was_away = seen.is_away;
        let has_left = |update: &ShardMapUpdate| {
            let Some(now) = place(update, shard) else { return false };
            let is_back = was_away && !now.is_away;
            was_away = now.is_away;
            is_back || now.epoch != seen.epoch || now.address != seen.address
        };
        if self.0.wait_for(has_left).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn place(update: &ShardMapUpdate, shard: ShardId) -> Option<Place> {
    let address = update.map.addresses.get(shard as usize)?.clone();
    Some(Place { epoch: update.map.epoch, address, is_away: is_away(update, shard) })
}

fn is_away(update: &ShardMapUpdate, shard: ShardId) -> bool {
    update.away.iter().any(|server| server.shard == shard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use ps_core::master::AwayServer;
    use std::time::Duration;

    #[test]
    fn a_call_is_told_when_its_shard_is_elsewhere_or_back_and_not_when_another_is_away() {
        let (sender, updates) = watch::channel(ShardMapUpdate::default());
        let mut map = ShardMapWatch::new(updates);
        assert!(map.known().now_or_never().is_none());
        let addresses = vec!["a:1".to_owned(), "b:1".to_owned()];
        let first = ShardMap { epoch: 3, addresses, chunk_elements: None };
        sender.send_modify(|update| (update.revision, update.map) = (1, first.clone()));
        assert_eq!(map.known().now_or_never(), Some(first));
        let seen = map.place(1).unwrap();
        let away = |shard| AwayServer { shard, silent: Duration::ZERO, left: Duration::ZERO };
        assert!(map.left(1, &seen).now_or_never().is_none());
        {
            let mut left = std::pin::pin!(map.left(1, &seen));
            for who in [0, 1] {
                sender.send_modify(|update| update.away = vec![away(who)]);
                assert!(left.as_mut().now_or_never().is_none(), "{who}");
            }
            sender.send_modify(|update| update.away.clear());
            assert!(left.as_mut().now_or_never().is_some(), "it is back");
        }
        sender.send_modify(|update| update.map.addresses[1] = "c:1".into());
        assert!(map.left(1, &seen).now_or_never().is_some());
        let seen = map.place(1).unwrap();
        assert!(map.left(1, &seen).now_or_never().is_none());
        sender.send_modify(|update| update.map.epoch = 4);
        assert!(map.left(1, &seen).now_or_never().is_some());
    }

    #[test]
    fn a_map_that_nobody_changes_is_waited_for_in_vain() {
        let mut map = ShardMapWatch::fixed(["a:1"]);
        let seen = map.place(0).unwrap();
        assert!(map.left(0, &seen).now_or_never().is_none());
        assert_eq!(map.place(1), None);
    }
}
