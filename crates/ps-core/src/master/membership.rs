//! What every shard must know of the workers: state, not changes, with a revision that grows.

use super::types::{Action, Membership, Role, Seat, ShardMap};
use super::{Machine, Phase};
use crate::gate::Member;
use crate::ids::{Clock, ShardId, WorkerId};
use std::collections::BTreeMap;
use std::time::Duration;

/// What was told to the shards last, and which of them have it.
#[derive(Clone, Debug, Default)]
pub(super) struct Memberships {
    told: Option<(ShardMap, Vec<Member>)>,
    revision: u64,
    acknowledged: BTreeMap<ShardId, u64>,
    /// When a shard last acknowledged anything, or had nothing to acknowledge.
    answered: BTreeMap<ShardId, Duration>,
}

/// A shard that acknowledges nothing for so many leases cannot be reached, though its heartbeats may
/// reach the master.
const UNREACHABLE_LEASES: u32 = 3;

impl Memberships {
    pub(super) fn acknowledged(&mut self, shard: ShardId, revision: u64, now: Duration) {
        self.answered.insert(shard, now);
        let known = self.acknowledged.entry(shard).or_default();
        *known = (*known).max(revision);
    }

    /// Whether the shards were told that this worker is active.
    pub(super) fn has_active(&self, rank: WorkerId) -> bool {
        let told = self.told.iter().flat_map(|(_, members)| members);
        told.filter(|member| member.worker == rank).any(|member| member.active)
    }

    /// The first shard that lags behind and has answered nothing for this long.
    fn unreachable(&mut self, shards: u32, limit: Duration, now: Duration) -> Option<ShardId> {
        let revision = self.revision;
        (0..shards).find(|shard| {
            let lags = self.acknowledged.get(shard).is_none_or(|known| *known < revision);
            let answered = self.answered.entry(*shard).or_insert(now);
            if self.told.is_none() || !lags {
                *answered = now;
            }
            now.saturating_sub(*answered) >= limit
        })
    }

    /// The master was away itself: nobody could answer it.
    pub(super) fn extend(&mut self, gap: Duration) {
        self.answered.values_mut().for_each(|answered| *answered += gap);
    }

    /// Whether every shard has the newest revision.
    pub(super) fn are_acknowledged(&self, shards: u32) -> bool {
        let has = |shard| self.acknowledged.get(&shard).is_some_and(|r| *r >= self.revision);
        self.told.is_some() && (0..shards).all(has)
    }
}

impl Machine {
    /// Tells the shards who the workers are, if that changed.
    pub(super) fn publish(&mut self) {
        let Some(shard_map) = self.shard_map.clone() else {
            return;
        };
        let workers = self.members();
        let news = (shard_map, workers);
        if self.memberships.told.as_ref() == Some(&news) {
            return;
        }
        self.memberships.revision += 1;
        let (shard_map, workers) = news.clone();
        self.memberships.told = Some(news);
        let revision = self.memberships.revision;
        self.actions.push(Action::SetMembership(Membership { shard_map, revision, workers }));
    }

    pub(super) fn members(&self) -> Vec<Member> {
        // From the commit on nothing may change the weights any more, not even a push that its
        // worker has given up: whatever is still on its way is fenced.
        let is_fenced = self.phase.is_committed();
        let member = |rank: WorkerId| {
            let seat = Seat { role: Role::Worker, index: rank };
            let is_there = self.places.process(seat).is_some();
            Member {
                worker: rank,
                incarnation: self.places.incarnation(seat) + u64::from(is_fenced && is_there),
                active: !is_fenced && self.is_active(rank),
                start_clock: self.workers.get(&rank).map_or(0, |worker| worker.start_clock),
            }
        };
        self.places.ranks().map(member).collect()
    }

    /// Active is who holds a data lease.
    pub(super) fn is_active(&self, rank: WorkerId) -> bool {
        self.leases.as_ref().is_some_and(|leases| leases.held_by(rank).is_some())
    }

    /// The smallest clock of the active workers as far as heartbeats told.
    pub(super) fn smallest_active_clock(&self) -> Option<Clock> {
        let active = self.workers.iter().filter(|(rank, _)| self.is_active(**rank));
        active.map(|(_, worker)| worker.clock.max(worker.start_clock)).min()
    }

    /// Workers wait at the gate of a shard that has not heard of them: a job whose master reaches no
    /// such shard would wait for ever.
    pub(super) fn check_shards(&mut self, now: Duration) {
        if matches!(self.phase, Phase::Leaving { .. } | Phase::Finished { .. }) {
            return;
        }
        let limit = self.config.lease * UNREACHABLE_LEASES;
        let Some(shard) = self.memberships.unreachable(self.config.servers, limit, now) else {
            return;
        };
        let map = self.shard_map.as_ref();
        let address = map.and_then(|map| map.addresses.get(shard as usize)).cloned();
        let reason = format!(
            "server shard {shard} at {} lives, but the master has not reached it for {limit:.0?}: \
             check its --advertise and the network between them",
            address.unwrap_or_default()
        );
        self.fail(reason, now);
    }

    /// A server does not take the membership: nobody could be fenced there any more.
    pub fn shard_refused(&mut self, shard: ShardId, message: &str, now: Duration) {
        if !matches!(self.phase, Phase::Leaving { .. } | Phase::Finished { .. }) {
            let address = self.shard_map.as_ref().and_then(|m| m.addresses.get(shard as usize));
            let address = address.cloned().unwrap_or_default();
            let reason = format!("server shard {shard} at {address} refused the master: {message}");
            self.fail(reason, now);
            self.advance(now);
        }
    }
}
