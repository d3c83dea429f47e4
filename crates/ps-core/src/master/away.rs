//! Servers that are silent for their lease, and may come back: what they hold nobody else has.
//!
//! Whether a silent process is dead, stopped or cut off, silence does not tell. A server whose process is
//! seen to die, or that was replaced by another one, is lost at once; one that is only silent is away.

use super::Machine;
use super::registry::Process;
use super::types::{AwayServer, Level, MemberId, Registration, Rejection, Role, ShardMapUpdate};
use crate::ids::{Incarnation, ShardId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Who is away, and when each was heard last.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct AwayServers {
    heard: BTreeMap<ShardId, Duration>,
    /// How often somebody went or came back.
    changes: u64,
}

impl AwayServers {
    pub(super) fn has(&self, shard: ShardId) -> bool {
        self.heard.contains_key(&shard)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heard.is_empty()
    }

    pub(super) fn shards(&self) -> Vec<ShardId> {
        self.heard.keys().copied().collect()
    }

    /// The master was away itself: nobody could be heard.
    pub(super) fn extend(&mut self, by: Duration) {
        self.heard.values_mut().for_each(|heard| *heard += by);
    }

    /// A server is away that was heard last at this time; whether that is news.
    fn go(&mut self, shard: ShardId, heard: Duration) -> bool {
        let is_news = !self.has(shard);
        if is_news {
            self.heard.insert(shard, heard);
            self.changes += 1;
        }
        is_news
    }

    /// A server is not away any more: since when it was.
    pub(super) fn come_back(&mut self, shard: ShardId) -> Option<Duration> {
        let heard = self.heard.remove(&shard)?;
        self.changes += 1;
        Some(heard)
    }
}

impl Machine {
    /// How long a server may be silent.
    fn silence_max(&self) -> Duration {
        self.config.server_away.max(self.config.lease)
    }

    /// A server that holds weights was silent for its lease: it is waited for, but not for ever.
    pub(super) fn server_is_silent(&mut self, server: MemberId, now: Duration) {
        let Some(process) = self.registry.process(server) else {
            return;
        };
        let (heard, address) = (process.last_heard, process.address.clone());
        let silent = now.saturating_sub(heard);
        if silent >= self.silence_max() {
            self.away.come_back(server.index);
            return self.expire(server, &format!("was silent for {silent:.0?}"), now);
        }
        if self.away.go(server.index, heard) {
            let left = self.silence_max() - silent;
            let line = format!(
                "{server} at {address} is away: nothing was heard of it for {silent:.1?}. Who needs it \
                 waits; the job fails unless it is back within {left:.1?} (--server-away-s)"
            );
            self.log(Level::Warn, line);
        }
    }

    /// A sign of life of a server.
    pub(super) fn server_is_heard(&mut self, server: MemberId, now: Duration) {
        if let Some(heard) = self.away.come_back(server.index) {
            let silent = now.saturating_sub(heard);
            self.log(Level::Info, format!("{server} is back after {silent:.1?}"));
        }
    }

    /// A server that is in the job says where it is: somewhere else than before, perhaps. It is the same
    /// process and holds what it held; in the new epoch everybody calls it there.
    pub(super) fn server_is_at(&mut self, server: MemberId, address: &str, now: Duration) {
        self.server_is_heard(server, now);
        let process = self.registry.process_mut(server);
        let Some(process) = process.filter(|process| process.address != address) else {
            return;
        };
        let before = std::mem::replace(&mut process.address, address.to_owned());
        let moved = format!("{server} moved from {before} to {address}");
        let Some(epoch) = self.membership.move_shard(server.index, address.to_owned()) else {
            return self.log(Level::Info, moved);
        };
        if !self.membership.has_begun() {
            // What was asked of it may have been on its way to where it was.
            self.checkpoints.shards_changed();
        }
        self.log(Level::Info, format!("{moved}; epoch {epoch}"));
    }

    /// Whether a process holds, from a disk, all that this server had acknowledged in this life, while another one has its
    /// place: that one is gone, or its folder would be locked. It holds nothing where that one never said that it does.
    pub(super) fn is_back(&self, server: MemberId, registration: &Registration) -> bool {
        let Some(process) = self.registry.process(server) else { return false };
        let has_all = match registration.holds_weights {
            true => registration.life == self.registry.life(),
            // Where anything was trained it had some, whatever is known of it.
            false => {
                let is_trained = self.leases.samples_done() > 0 || self.record.has_steps();
                self.membership.has_begun() && !process.holds_weights && !is_trained
            }
        };
        server.role == Role::Server && registration.recovered && has_all
    }

    /// What a server has on its disk has all that it had acknowledged: who was shut out stays out.
    ///
    /// # Errors
    /// It has not, and the job is over: pushes that it had acknowledged may be missing, too.
    pub(super) fn check_fence(
        &mut self,
        server: MemberId,
        registration: &Registration,
        now: Duration,
    ) -> Result<(), Rejection> {
        let (found, expected) = (registration.highest, self.membership.fenced(server.index));
        if registration.holds_weights && found < expected {
            let reason = format!(
                "{server} came back at {} and has forgotten what it had acknowledged (the newest that it knows of is {found}, it had \
                 acknowledged {expected}): its disk has not kept what was synced, or another one's journal lies in its folder",
                registration.address
            );
            self.lifecycle.has_lost_for_good();
            self.fail(reason, now);
            self.check_open()?;
        }
        Ok(())
    }

    /// Another process goes on with what a server had on its disk. Whoever still speaks for the one before is refused, and
    /// the others follow to where it is; its incarnation.
    pub(super) fn server_is_back(
        &mut self,
        server: MemberId,
        registration: Registration,
        now: Duration,
    ) -> Incarnation {
        self.away.come_back(server.index);
        self.going_back.end(server.index);
        let Registration { token, address, holds_weights, .. } = registration;
        let process = Process {
            token,
            address: address.clone(),
            holds_weights,
            last_heard: now,
            progressed: now,
            ..Process::default()
        };
        let incarnation = self.registry.insert(server, process);
        self.record.came_back(server.to_string());
        let line = format!(
            "{server} was started again at {address}: what it had acknowledged was in its journal, nothing is lost"
        );
        let Some(epoch) = self.membership.move_shard(server.index, address) else {
            self.log(Level::Info, line);
            return incarnation;
        };
        if !self.membership.has_begun() {
            self.checkpoints.shards_changed();
        }
        self.log(Level::Info, format!("{line}; epoch {epoch}"));
        incarnation
    }

    /// Grows with every change of what members are told of the shards.
    pub(super) fn map_revision(&self) -> u64 {
        self.membership.map_changes() + self.away.changes + self.going_back.changes()
    }

    /// The shard map and who is away, unless that is what the member knows.
    pub(super) fn shard_map_update(&self, known: u64, now: Duration) -> Option<ShardMapUpdate> {
        let map = self.membership.shard_map()?;
        let revision = self.map_revision();
        if revision == known {
            return None;
        }
        let away = self.away.heard.iter().map(|(shard, heard)| {
            let silent = now.saturating_sub(*heard);
            let left = self.silence_max().saturating_sub(silent);
            AwayServer { shard: *shard, silent, left }
        });
        Some(ShardMapUpdate { revision, map: map.clone(), away: away.collect() })
    }
}
