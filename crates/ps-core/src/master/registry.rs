//! Who holds which place: leases of members, incarnations.

use super::types::{Caller, MemberId, Rejection, Role, Task};
use crate::data_description::DataDescription;
use crate::ids::{Clock, Incarnation, Life, WorkerId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A process that holds a place.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Process {
    pub(super) token: u64,
    pub(super) address: String,
    /// What training data it has.
    pub(super) data: DataDescription,
    /// Whether it writes the best weights where the master finds them.
    pub(super) keeps_best: bool,
    pub(super) last_heard: Duration,
    /// Of a server: it has said that it holds a model.
    pub(super) holds_weights: bool,
    /// Of a server: the version of its chunk that was updated most, as it last said.
    pub(super) updates: u64,
    /// Since when it is known to have received a signal.
    pub(super) leaving: Option<Duration>,
    /// It was told that it may leave, and is not waited for.
    pub(super) has_left: bool,
    /// The last answer to a request for a task, and the request's number, for when it is lost.
    pub(super) last_task: Option<(u64, Task)>,
    /// Steps that a worker finished.
    pub(super) clock: Clock,
    /// Where its clock started when it became active.
    pub(super) start_clock: Clock,
    /// When it last finished a step, waited for others, or was given a lease.
    pub(super) progressed: Duration,
    /// Until then it gets no served samples, because it did not reach the evaluator.
    pub(super) avoids_evaluator_until: Duration,
}

impl Process {
    /// Whether it gets nothing new to do.
    pub(super) fn is_ending(&self) -> bool {
        self.leaving.is_some() || self.has_left
    }
}

/// A place, whether somebody holds it or not.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Slot {
    /// Of the process that holds it, or else of the next one; anything below is fenced.
    incarnation: Incarnation,
    /// Where the last process that held it was.
    address: String,
    process: Option<Process>,
}

/// All places that were ever taken.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Registry {
    lease: Duration,
    /// The first incarnation of every place.
    life: Life,
    slots: BTreeMap<MemberId, Slot>,
    /// When time last passed.
    ticked: Duration,
    /// Since when there is no worker, after there was one, and who was the last.
    without_workers: Option<(Duration, String)>,
    /// Grows whenever a process comes or goes.
    generation: u64,
}

impl Registry {
    pub(super) fn new(lease: Duration, life: Life, now: Duration) -> Self {
        Self { lease, life, ticked: now, ..Self::default() }
    }

    /// The job's life.
    pub(super) fn life(&self) -> Life {
        self.life
    }

    /// It is another life: whoever takes a place from now on is of that one.
    pub(super) fn begin_life(&mut self, life: Life) {
        self.life = self.life.max(life);
        self.generation += 1;
    }

    /// The highest incarnation of any place.
    pub(super) fn highest(&self) -> Incarnation {
        self.slots.values().map(|slot| slot.incarnation).max().unwrap_or(self.life)
    }

    /// Grows whenever a process comes or goes.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn process(&self, member: MemberId) -> Option<&Process> {
        self.slots.get(&member)?.process.as_ref()
    }

    /// A member and where it is, or was, for people: a rank says nothing of which machine to look at.
    pub(super) fn describe(&self, member: MemberId) -> String {
        match self.slots.get(&member) {
            Some(slot) => format!("{member} at {}", slot.address),
            None => member.to_string(),
        }
    }

    pub(super) fn process_mut(&mut self, member: MemberId) -> Option<&mut Process> {
        self.slots.get_mut(&member)?.process.as_mut()
    }

    /// The place of a process that registered before; this is a sign of life of it.
    pub(super) fn renew(&mut self, role: Role, token: u64, now: Duration) -> Option<MemberId> {
        let mut slots = self.slots.range_mut(all(role));
        slots.find_map(|(member, slot)| {
            let process = slot.process.as_mut().filter(|process| process.token == token)?;
            process.last_heard = process.last_heard.max(now);
            Some(*member)
        })
    }

    /// The incarnation of a place, or the first that it will have.
    pub(super) fn incarnation(&self, member: MemberId) -> Incarnation {
        match self.slots.get(&member) {
            Some(slot) if slot.process.is_some() => slot.incarnation,
            Some(slot) => slot.incarnation.max(self.life),
            None => self.life,
        }
    }

    /// Ranks that were ever taken.
    pub(super) fn ranks(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.slots.range(all(Role::Worker)).map(|(member, _)| member.index)
    }

    /// Processes of a role that have not left.
    pub(super) fn live(&self, role: Role) -> impl Iterator<Item = (MemberId, &Process)> {
        self.slots.range(all(role)).filter_map(|(member, slot)| {
            let process = slot.process.as_ref().filter(|process| !process.has_left)?;
            Some((*member, process))
        })
    }

    /// Whether a process of this role has not left.
    pub(super) fn has(&self, role: Role) -> bool {
        self.live(role).next().is_some()
    }

    /// Gives a place, which must be free, to a process.
    pub(super) fn insert(&mut self, member: MemberId, process: Process) -> Incarnation {
        self.remove(member);
        self.generation += 1;
        if member.role == Role::Worker {
            self.without_workers = None;
        }
        let incarnation = self.incarnation(member);
        self.slots.insert(
            member,
            Slot { incarnation, address: process.address.clone(), process: Some(process) },
        );
        incarnation
    }

    /// Ends a process's hold; its incarnation is over from now on.
    pub(super) fn remove(&mut self, member: MemberId) -> Option<Process> {
        let slot = self.slots.get_mut(&member)?;
        let process = slot.process.take()?;
        slot.incarnation += 1;
        self.generation += 1;
        Some(process)
    }

    /// Admits a caller's call, which renews its lease.
    pub(super) fn admit(
        &mut self,
        caller: Caller,
        now: Duration,
    ) -> Result<&mut Process, Rejection> {
        let Caller { member, incarnation: found } = caller;
        let current = self.incarnation(member);
        let process = self.process_mut(member).filter(|_| found == current);
        let process = process.ok_or(Rejection::Stale { member, found, current })?;
        process.last_heard = process.last_heard.max(now);
        Ok(process)
    }

    /// A member was told that it may leave; its process, unless that was known.
    pub(super) fn mark_left(&mut self, member: MemberId) -> Option<&Process> {
        let process = self.process_mut(member).filter(|process| !process.has_left)?;
        process.has_left = true;
        self.generation += 1;
        self.process(member)
    }

    /// Whether a live process holds the place.
    pub(super) fn is_held(&self, member: MemberId, now: Duration) -> bool {
        let process = self.process(member);
        process.is_some_and(|process| !process.has_left && !self.is_silent(process, now))
    }

    /// Whether a process was silent for a whole lease.
    fn is_silent(&self, process: &Process, now: Duration) -> bool {
        now.saturating_sub(process.last_heard) >= self.lease
    }

    /// Whether a server that has not left was silent for this long.
    pub(super) fn is_any_server_silent(&self, limit: Duration, now: Duration) -> bool {
        self.live(Role::Server).any(|(_, process)| now.saturating_sub(process.last_heard) >= limit)
    }

    /// Whoever finishes no step at present has a good reason.
    pub(super) fn excuse(&mut self, now: Duration) {
        for process in self.slots.values_mut().filter_map(|slot| slot.process.as_mut()) {
            process.progressed = process.progressed.max(now);
        }
    }

    /// Places whose processes were silent for a whole lease.
    pub(super) fn silent(&self, now: Duration) -> Vec<MemberId> {
        let processes =
            self.slots.iter().filter_map(|(member, slot)| Some((*member, slot.process.as_ref()?)));
        let silent = processes.filter(|(_, process)| self.is_silent(process, now));
        silent.map(|(member, _)| member).collect()
    }

    /// Time passed while the master was there.
    pub(super) fn tick(&mut self, now: Duration) {
        self.ticked = self.ticked.max(now);
    }

    /// How long the master was away, if that matters: everybody got that much more time.
    pub(super) fn take_absence(&mut self, now: Duration) -> Option<Duration> {
        let gap = now.saturating_sub(self.ticked);
        if gap < self.lease / 2 {
            return None;
        }
        self.ticked = now;
        for process in self.slots.values_mut().filter_map(|slot| slot.process.as_mut()) {
            // Who was heard within the gap is not heard of in the future.
            process.last_heard = (process.last_heard + gap).min(now);
            process.progressed = (process.progressed + gap).min(now);
        }
        Some(gap)
    }

    /// Nobody could be heard up to now.
    pub(super) fn hear_all(&mut self, now: Duration) {
        self.ticked = self.ticked.max(now);
        for process in self.slots.values_mut().filter_map(|slot| slot.process.as_mut()) {
            process.last_heard = process.last_heard.max(now);
            process.progressed = process.progressed.max(now);
        }
    }

    /// Remembers since when nobody trains.
    pub(super) fn note_workers(&mut self, last: String, now: Duration) {
        if !self.has(Role::Worker) {
            self.without_workers.get_or_insert((now, last));
        }
    }

    /// For how long there has been no worker, if that is a whole lease, and who was the last.
    pub(super) fn without_workers(&self, now: Duration) -> Option<(Duration, &str)> {
        let (since, last) = self.without_workers.as_ref()?;
        let waited = now.saturating_sub(*since);
        (waited >= self.lease).then_some((waited, last.as_str()))
    }
}

/// Every place of a role.
fn all(role: Role) -> std::ops::RangeInclusive<MemberId> {
    MemberId { role, index: 0 }..=MemberId { role, index: u32::MAX }
}
