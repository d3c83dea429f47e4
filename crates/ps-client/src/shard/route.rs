//! The way to a shard: a link that is replaced when the server is said to be elsewhere.

use crate::shard_map::{Place, ShardMapWatch};
use ps_core::ids::ShardId;
use ps_runtime::Outside;
use ps_runtime::link::Link;
use ps_runtime::transport::BadAddress;
use std::sync::{Arc, Mutex};

/// How a shard is reached, wherever it is.
pub(super) struct Route {
    shard: ShardId,
    outside: Outside,
    map: ShardMapWatch,
    link: Mutex<Arc<Link>>,
}

/// How a shard is reached as long as nothing is heard of another place.
pub(super) struct Way {
    pub(super) link: Arc<Link>,
    shard: ShardId,
    map: ShardMapWatch,
    place: Option<Place>,
}

impl Route {
    /// To the shard at this address, and wherever the map says later.
    pub(super) fn new(
        shard: ShardId,
        address: &str,
        map: ShardMapWatch,
        outside: &Outside,
    ) -> Result<Self, BadAddress> {
        let outside = outside.clone();
        let link = Mutex::new(Arc::new(new_link(shard, address, &outside)?));
        Ok(Self { shard, outside, map, link })
    }

    /// The way as it is now, and whether it is a new one.
    pub(super) fn way(&self) -> (Way, bool) {
        let mut current = self.link.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // Looked at under the lock, so that no older place replaces a newer one.
        let (shard, place) = (self.shard, self.map.place(self.shard));
        let moved = place.as_ref().filter(|place| place.address != current.address());
        let followed = moved.map(|place| {
            let fresh = new_link(shard, &place.address, &self.outside)?;
            Ok::<_, BadAddress>((std::mem::replace(&mut *current, Arc::new(fresh)), &place.address))
        });
        let link = current.clone();
        // Said without the lock: whoever reads the log may be slow.
        drop(current);
        let is_new = match followed {
            Some(Ok((before, address))) => {
                let before = before.address();
                tracing::info!("server {shard} moved from {before} to {address}");
                true
            }
            Some(Err(error)) => {
                tracing::warn!("server {shard} cannot be followed: {error}");
                false
            }
            None => false,
        };
        (Way { link, shard, map: self.map.clone(), place }, is_new)
    }
}

impl Way {
    /// Makes a part of a call; gives it up, and returns `None`, when the server is said to be elsewhere, in
    /// another epoch, or back.
    pub(super) async fn unless_left<T>(&mut self, part: impl Future<Output = T>) -> Option<T> {
        let Some(place) = &self.place else { return Some(part.await) };
        tokio::select! {
            biased;
            done = part => Some(done),
            () = self.map.left(self.shard, place) => None,
        }
    }

    /// Whether the job's leader waits for the server.
    pub(super) fn is_waited_for(&self) -> bool {
        self.map.is_away(self.shard)
    }
}

/// Shards must not retry in step with each other.
fn new_link(shard: ShardId, address: &str, outside: &Outside) -> Result<Link, BadAddress> {
    let seed = outside.seed.wrapping_add(u64::from(shard));
    Link::new(&outside.connector, address, &outside.clock, seed)
}
