//! Registration: who may take which place.

use super::Machine;
use super::agreement::{check_data, check_share};
use super::registry::Process;
use super::types::{Level, MemberId, RegisterReply, Registration, Rejection, Role};
use crate::data_description::{DataDescription, DataKind};
use crate::ids::{LIFE_DISTANCE, Life};
use crate::limits::EVALUATORS_MAX;
use std::time::Duration;

impl Machine {
    /// A process wants to join; a process that repeats its registration gets the same answer.
    ///
    /// # Errors
    /// The place is taken by a live process, does not exist, or the job is over.
    pub fn register(
        &mut self,
        registration: Registration,
        now: Duration,
    ) -> Result<RegisterReply, Rejection> {
        self.handle(now, |machine| machine.try_register(registration, now), |_, reply| reply)
    }

    fn try_register(
        &mut self,
        registration: Registration,
        now: Duration,
    ) -> Result<RegisterReply, Rejection> {
        let Registration { role, token, .. } = registration;
        if let Some(member) = self.registry.renew(role, token, now) {
            if role == Role::Server {
                self.server_is_at(member, &registration.address, now);
            }
            let incarnation = self.registry.incarnation(member);
            return Ok(RegisterReply { index: member.index, incarnation });
        }
        if let Some(member) = self.leaves_at_once(&registration) {
            let incarnation = self.let_in_to_leave(member, registration, now);
            return Ok(RegisterReply { index: member.index, incarnation });
        }
        self.check_open()?;
        check_data(&registration, &self.registry, self.agreement.agreed())?;
        let member = match role {
            Role::Server => self.shard_for(&registration)?,
            Role::Worker => self.rank_for(&registration, now)?,
            Role::Evaluator => self.evaluator_for(&registration, now),
        };
        check_share(member, &registration, &self.leases)?;
        if self.is_back(member, &registration) {
            self.check_fence(member, &registration, now)?;
            let incarnation = self.server_is_back(member, registration, now);
            return Ok(RegisterReply { index: member.index, incarnation });
        }
        if registration.goes_back && self.registry.process(member).is_some() {
            let incarnation = self.server_goes_back(member, registration, now)?;
            return Ok(RegisterReply { index: member.index, incarnation });
        }
        self.make_room(member, &registration, now)?;
        let incarnation = self.join(member, registration, now);
        Ok(RegisterReply { index: member.index, incarnation })
    }

    /// The place of a server that was killed when nobody needed it any more, and was started again all the same: it is let in
    /// to hear how the job has ended.
    fn leaves_at_once(&self, registration: &Registration) -> Option<MemberId> {
        let member = self.shard_for(registration).ok()?;
        let is_wanted = registration.role == Role::Server
            && self.lifecycle.is_leaving()
            && (registration.holds_weights || registration.goes_back);
        let process = self.registry.process(member).filter(|process| !process.has_left);
        process.filter(|_| is_wanted).map(|_| member)
    }

    /// Gives the place to a process that holds nothing that anybody needs, until it has heard that it may leave.
    pub(super) fn let_in_to_leave(
        &mut self,
        member: MemberId,
        registration: Registration,
        now: Duration,
    ) -> u64 {
        let Registration { token, address, .. } = registration;
        let process =
            Process { token, address, last_heard: now, progressed: now, ..Process::default() };
        self.registry.insert(member, process)
    }

    /// During the barrier and the commit a worker that was expired may come back, to be told that it
    /// may leave; nobody joins afterwards.
    pub(super) fn check_open(&self) -> Result<(), Rejection> {
        match self.lifecycle.outcome() {
            Some(outcome) => {
                let reason = outcome.reason.clone().unwrap_or_else(|| "it is finished".to_owned());
                Err(Rejection::JobOver { reason })
            }
            None => Ok(()),
        }
    }

    fn shard_for(&self, registration: &Registration) -> Result<MemberId, Rejection> {
        let asker = registration.address.clone();
        let Some(index) = registration.index else {
            return Err(Rejection::NoIndex { asker });
        };
        let member = MemberId::server(index);
        let (found, current) = (registration.life, self.registry.life());
        if registration.holds_weights && found != current {
            return Err(Rejection::OtherLife { member, asker, found, current });
        }
        checked(member, self.config.servers, asker)
    }

    /// The rank that it prefers, or the lowest free one.
    fn rank_for(&self, registration: &Registration, now: Duration) -> Result<MemberId, Rejection> {
        let (asker, workers) = (registration.address.clone(), self.config.workers);
        if let Some(index) = registration.index {
            return checked(MemberId::worker(index), workers, asker);
        }
        let ranks = (0..workers).map(MemberId::worker);
        let free: Vec<MemberId> = ranks.filter(|id| !self.registry.is_held(*id, now)).collect();
        let is_its_own = |id: &&MemberId| check_share(**id, registration, &self.leases).is_ok();
        let rank = free.iter().find(is_its_own).or(free.first()).copied();
        rank.ok_or_else(|| {
            let live = self.registry.live(Role::Worker);
            let holders: Vec<&str> = live.map(|(_, process)| process.address.as_str()).collect();
            Rejection::Full { workers, holders: holders.join(", "), asker }
        })
    }

    /// The first free place: one measures, the others stand by. Who serves samples takes the first or
    /// none: workers ask there.
    fn evaluator_for(&self, registration: &Registration, now: Duration) -> MemberId {
        let places = (0..EVALUATORS_MAX).map(MemberId::evaluator);
        let mut free = places.filter(|place| !self.registry.is_held(*place, now));
        match registration.data.served_at {
            Some(_) => MemberId::EVALUATOR,
            None => free.next().unwrap_or(MemberId::EVALUATOR),
        }
    }

    /// Refuses a place that is held by a live process; expires a holder whose lease is over.
    fn make_room(
        &mut self,
        member: MemberId,
        registration: &Registration,
        now: Duration,
    ) -> Result<(), Rejection> {
        let Some(holder) = self.registry.process(member) else {
            return Ok(());
        };
        let (before, asker) = (holder.address.clone(), registration.address.clone());
        let is_held = self.registry.is_held(member, now);
        let holds_weights = member.role == Role::Server && self.membership.has_begun();
        if holds_weights && before == asker {
            // Nobody else can listen where a live server does: its process was replaced.
            self.fail(format!("{member} at {asker} restarted and lost its weights"), now);
        } else if holds_weights && !is_held {
            let reason = format!(
                "{member} at {before} is away, and another process takes its place at {asker}: its \
                 weights are lost"
            );
            self.fail(reason, now);
        } else if is_held {
            return Err(Rejection::Taken { member, holder: before, asker });
        } else {
            self.expire(member, "was silent for its lease", now);
        }
        self.check_open()
    }

    /// Gives the place to the process.
    pub(super) fn join(
        &mut self,
        member: MemberId,
        registration: Registration,
        now: Duration,
    ) -> u64 {
        let Registration { token, address, data, highest, life, keeps_best, about, .. } =
            registration;
        // The evaluator's word counts for more than a worker's, who may have a part of the data alone.
        if about.is_some() && (self.about.is_none() || member.role == Role::Evaluator) {
            self.about = about;
        }
        let process = Process {
            token,
            address: address.clone(),
            data: data.clone(),
            keeps_best,
            last_heard: now,
            progressed: now,
            ..Process::default()
        };
        let incarnation = self.registry.insert(member, process);
        self.log(Level::Info, format!("{member} is at {address} (incarnation {incarnation})"));
        match member.role {
            Role::Server => {
                // What it has heard of in this life is of this life.
                if life != self.registry.life() {
                    self.outlive(highest, now);
                }
                self.draw_shard_map();
            }
            Role::Worker => {
                self.record.joined(member.index, address);
                self.tell_training(&data);
            }
            Role::Evaluator => self.forget_loading(),
        }
        self.add_source(member, &data, now);
        incarnation
    }

    /// Says with the first worker how the job trains; what optimizer and rate programs have, they say to the servers alone.
    fn tell_training(&mut self, data: &DataDescription) {
        let workers = self.registry.live(Role::Worker).count();
        if workers == 1 && !self.membership.has_begun() {
            let line = match data.kind {
                DataKind::Program => {
                    "the workers run programs, which say by themselves how they train".to_owned()
                }
                _ => format!("training: {}", self.config.settings.words()),
            };
            self.log(Level::Info, line);
        }
    }

    /// A server has heard of this life, epoch or incarnation: this life is a later one. Where the clock
    /// of an earlier master was ahead of this one's, it is told apart only now: who trains, or is about
    /// to, registers anew.
    fn outlive(&mut self, highest: Life, now: Duration) {
        if highest < self.registry.life() {
            return;
        }
        let life = highest.saturating_add(LIFE_DISTANCE);
        self.log(Level::Warn, format!("a server has heard of {highest}: this life is {life}"));
        self.registry.begin_life(life);
        self.membership.begin_life(life);
        let others = [Role::Worker, Role::Evaluator];
        let members = others.into_iter().flat_map(|role| self.registry.live(role));
        let members: Vec<MemberId> = members.map(|(member, _)| member).collect();
        for member in members {
            self.expire(member, "registered before the job's life was known", now);
        }
    }

    /// Once every server is there: where the shards are.
    fn draw_shard_map(&mut self) {
        let servers = self.registry.live(Role::Server);
        let addresses: Vec<_> = servers.map(|(_, process)| process.address.clone()).collect();
        let servers = self.config.servers;
        if addresses.len() >= servers as usize {
            let epoch = self.membership.set_shards(addresses);
            self.checkpoints.shards_changed();
            self.log(Level::Info, format!("all {servers} servers are there; epoch {epoch}"));
        }
    }
}

fn checked(member: MemberId, count: u32, asker: String) -> Result<MemberId, Rejection> {
    if member.index < count {
        return Ok(member);
    }
    Err(Rejection::NoSuchMember { member, asker, count })
}
