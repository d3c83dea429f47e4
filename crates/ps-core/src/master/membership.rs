//! What every shard must know of the workers: state, not changes, with a revision that grows.

use super::Machine;
use super::types::{Action, MemberId, Membership, ShardMap};
use crate::gate::Member;
use crate::ids::{Epoch, Life, ShardId, WorkerId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A shard that acknowledges nothing for so many leases cannot be reached, though its heartbeats may
/// reach the master.
const UNREACHABLE_LEASES: u32 = 3;

/// What a membership is made from, as long as this is the same the membership is: epoch and life, who is
/// registered, who holds leases of both kinds, and whether the weights are committed.
type Inputs = (Epoch, Life, u64, u64, u64, bool);

/// Where the shards are, what they were told last, and which of them have it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct MembershipPublisher {
    shard_map: Option<ShardMap>,
    /// How often it changed.
    map_changes: u64,
    /// The newest epoch of this life, or the end of those before it.
    epoch: Epoch,
    /// Whether a worker knows the shard map: from then on a server that is gone took weights along.
    has_begun: bool,
    /// What the published membership was made from.
    inputs: Option<Inputs>,
    published: Option<Membership>,
    revision: u64,
    acknowledged: BTreeMap<ShardId, u64>,
    /// The highest life, epoch or incarnation that each shard has acknowledged.
    fenced: BTreeMap<ShardId, Life>,
    /// When a shard last acknowledged anything, or had nothing to acknowledge.
    answered: BTreeMap<ShardId, Duration>,
    /// How often all members were looked at.
    #[cfg(test)]
    pub(super) rebuilds: usize,
}

impl MembershipPublisher {
    /// Nothing is published yet; the first epoch is the life's number.
    pub(super) fn new(life: Life) -> Self {
        Self { epoch: life.saturating_sub(1), ..Self::default() }
    }

    pub(super) fn shard_map(&self) -> Option<&ShardMap> {
        self.shard_map.as_ref()
    }

    /// How often the shard map changed.
    pub(super) fn map_changes(&self) -> u64 {
        self.map_changes
    }

    /// A worker is about to know the shard map, and may create shards from then on; whether it is the first.
    pub(super) fn begin(&mut self) -> bool {
        let is_first = !self.has_begun && self.shard_map.is_some();
        self.has_begun |= is_first;
        is_first
    }

    /// Whether a worker knows the shard map: from then on a server that is gone took weights along.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// The newest epoch.
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// It is another life: the next epoch is its number.
    pub(super) fn begin_life(&mut self, life: Life) {
        self.epoch = self.epoch.max(life.saturating_sub(1));
    }

    /// The shards are here from now on, in an epoch above all that any server has seen.
    pub(super) fn set_shards(&mut self, addresses: Vec<String>) -> Epoch {
        self.epoch += 1;
        self.map_changes += 1;
        self.shard_map = Some(ShardMap { epoch: self.epoch, addresses, chunk_elements: None });
        self.epoch
    }

    /// A server, which holds what it held, is here from now on. The new epoch, if the shards were
    /// somewhere before.
    pub(super) fn move_shard(&mut self, shard: ShardId, address: String) -> Option<Epoch> {
        let shard_map = self.shard_map.as_mut()?;
        *shard_map.addresses.get_mut(shard as usize)? = address;
        self.epoch += 1;
        shard_map.epoch = self.epoch;
        self.map_changes += 1;
        Some(self.epoch)
    }

    /// Another process leads the job: the shards are where they were, in an epoch above all that the one before it may
    /// have told. The new epoch, if the shards are somewhere.
    pub(super) fn claim(&mut self) -> Option<Epoch> {
        let shard_map = self.shard_map.as_mut()?;
        self.epoch += 1;
        shard_map.epoch = self.epoch;
        self.map_changes += 1;
        Some(self.epoch)
    }

    /// The shards hold a model that was cut into chunks of so many elements.
    pub(super) fn set_chunk_elements(&mut self, chunk_elements: u32) {
        if let Some(shard_map) = &mut self.shard_map {
            shard_map.chunk_elements = Some(chunk_elements);
            self.map_changes += 1;
        }
    }

    /// A server is gone, and nothing was on it yet.
    pub(super) fn unset_shards(&mut self) {
        self.shard_map = None;
        self.map_changes += 1;
    }

    fn address(&self, shard: ShardId) -> &str {
        let addresses = self.shard_map.iter().flat_map(|map| &map.addresses);
        addresses.map(String::as_str).nth(shard as usize).unwrap_or_default()
    }

    /// Whether the shards were told that this worker is active.
    pub(super) fn has_active(&self, rank: WorkerId) -> bool {
        let workers = self.published.iter().flat_map(|published| &published.workers);
        workers.filter(|member| member.worker == rank).any(|member| member.active)
    }

    /// What the shards must be told, unless they were.
    fn publish(&mut self, life: Life, workers: Vec<Member>) -> Option<Membership> {
        let shard_map = self.shard_map.as_ref()?;
        let published = self.published.as_ref();
        let is_same = |old: &Membership| {
            (old.life, &old.shard_map, &old.workers) == (life, shard_map, &workers)
        };
        if published.is_some_and(is_same) {
            return None;
        }
        self.revision += 1;
        let shard_map = shard_map.clone();
        self.published = Some(Membership { shard_map, life, revision: self.revision, workers });
        self.published.clone()
    }

    fn acknowledged(&mut self, shard: ShardId, revision: u64, is_member: bool, now: Duration) {
        self.answered.insert(shard, now);
        let newest = self.acknowledged.entry(shard).or_default();
        *newest = (*newest).max(revision);
        // Of an older one nobody knows any more what was in it; and what a process knows that registers later was not known to
        // the one that it follows.
        let is_known = |published: &&Membership| published.revision == revision && is_member;
        let told = self.published.as_ref().filter(is_known);
        if let Some(highest) = told.map(Membership::highest) {
            let fenced = self.fenced.entry(shard).or_default();
            *fenced = (*fenced).max(highest);
        }
    }

    /// The highest life, epoch or incarnation that a shard has acknowledged; 0 before it has any.
    pub(super) fn fenced(&self, shard: ShardId) -> Life {
        self.fenced.get(&shard).copied().unwrap_or(0)
    }

    /// Whether a shard has the newest revision.
    pub(super) fn has_newest(&self, shard: ShardId) -> bool {
        self.acknowledged.get(&shard).is_some_and(|newest| *newest >= self.revision)
    }

    /// Whether every shard has the newest revision.
    pub(super) fn is_acknowledged(&self, shards: u32) -> bool {
        self.published.is_some() && (0..shards).all(|shard| self.has_newest(shard))
    }

    /// The first shard that lags behind and has answered nothing for this long, though its server is
    /// not away.
    fn unreachable(
        &mut self,
        shards: u32,
        limit: Duration,
        now: Duration,
        is_away: impl Fn(ShardId) -> bool,
    ) -> Option<ShardId> {
        (0..shards).find(|shard| {
            let lags = self.published.is_some() && !self.has_newest(*shard);
            let answered = self.answered.entry(*shard).or_insert(now);
            if !lags || is_away(*shard) {
                *answered = now;
            }
            now.saturating_sub(*answered) >= limit
        })
    }

    /// The master was away itself: nobody could answer it.
    pub(super) fn extend(&mut self, by: Duration) {
        self.answered.values_mut().for_each(|answered| *answered += by);
    }
}

impl Machine {
    /// Tells the shards who the workers are, if that changed.
    pub(super) fn publish(&mut self) {
        let Some(shard_map) = self.membership.shard_map() else {
            return;
        };
        let (registry, leases) = (self.registry.generation(), self.leases.generation());
        let programs = self.programs.samples().generation();
        let (epoch, life) = (shard_map.epoch, self.registry.life());
        let is_committed = self.lifecycle.is_committed();
        let inputs = Some((epoch, life, registry, leases, programs, is_committed));
        if self.membership.inputs == inputs {
            return;
        }
        let members = self.members();
        self.membership.inputs = inputs;
        self.actions.extend(self.membership.publish(life, members).map(Action::SetMembership));
        #[cfg(test)]
        {
            self.membership.rebuilds += 1;
        }
    }

    /// What the shards must know of each rank. From the commit on nothing may change the weights any
    /// more, not even a push that its worker has given up: whatever is still on its way is fenced.
    pub(super) fn members(&self) -> Vec<Member> {
        let is_committed = self.lifecycle.is_committed();
        let ranks = self.registry.ranks();
        let programs = self.programs.samples();
        let with_samples = programs.is_used().then(|| programs.holders());
        let holds_nobody = |worker| {
            with_samples.as_ref().is_some_and(|with_samples| !with_samples.contains(&worker))
        };
        ranks
            .map(|worker| {
                let id = MemberId::worker(worker);
                let process = self.registry.process(id);
                let is_fenced = is_committed && process.is_some();
                Member {
                    worker,
                    incarnation: self.registry.incarnation(id) + u64::from(is_fenced),
                    active: !is_committed && self.leases.held_by(worker).is_some(),
                    holds_nobody: holds_nobody(worker),
                    start_clock: process.map_or(0, |process| process.start_clock),
                }
            })
            .collect()
    }

    /// A shard has taken over a membership: the process that registers with this token.
    pub fn membership_acknowledged(
        &mut self,
        shard: ShardId,
        revision: u64,
        token: u64,
        now: Duration,
    ) {
        let server = self.registry.process(MemberId::server(shard));
        let is_member = server.is_some_and(|server| server.token == token);
        self.event(now, |machine| {
            machine.membership.acknowledged(shard, revision, is_member, now);
        });
    }

    /// A server does not take the membership of an epoch: nobody could be fenced there any more. What
    /// it said of an earlier epoch means nothing.
    pub fn shard_refused(&mut self, shard: ShardId, epoch: Epoch, message: &str, now: Duration) {
        if epoch < self.membership.epoch() {
            return;
        }
        let address = self.membership.address(shard);
        let reason = format!("server shard {shard} at {address} refused the master: {message}");
        self.others_failed(reason, now);
    }

    /// Workers wait at the gate of a shard that has not heard of them: a job whose master reaches no
    /// such shard would wait for ever.
    pub(super) fn check_shards(&mut self, now: Duration) {
        if self.lifecycle.is_leaving() {
            return;
        }
        let limit = self.config.lease * UNREACHABLE_LEASES;
        let (servers, away) = (self.config.servers, &self.away);
        let is_away = |shard| away.has(shard);
        if let Some(shard) = self.membership.unreachable(servers, limit, now, is_away) {
            let address = self.membership.address(shard);
            let reason = format!(
                "server shard {shard} at {address} lives, but the master has not reached it for \
                 {limit:.0?}: check its --advertise and the network between them"
            );
            self.fail(reason, now);
        }
    }
}
