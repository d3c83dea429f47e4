//! Who holds which place: registration, leases of members, incarnations.

use super::types::{Caller, Refusal, Role, Seat};
use crate::data_description::DataDescription;
use crate::ids::{Incarnation, WorkerId};
use std::collections::BTreeMap;
use std::time::Duration;

/// Lives that a rank may have begun after a checkpoint's manifest was drawn up and before its last
/// shard was copied. A shard's file may know of them, and would take the pushes of another life under
/// the same number for repeated ones: they would be acknowledged and lost.
const UNKNOWN_LIVES: Incarnation = 1000;

/// A process that holds a place.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) token: u64,
    pub(super) address: String,
    /// What training data it has.
    pub(super) data: DataDescription,
    pub(super) last_heard: Duration,
    /// Since when it is known to have received a signal.
    pub(super) leaving: Option<Duration>,
    /// It was told that it may leave, and is not waited for.
    pub(super) has_left: bool,
}

/// A place, whether somebody holds it or not.
#[derive(Clone, Debug)]
struct Place {
    /// Of the process that holds it, or else of the next one; anything below is fenced.
    incarnation: Incarnation,
    process: Option<Process>,
}

/// All places that were ever taken.
#[derive(Clone, Debug)]
pub(super) struct Places {
    lease: Duration,
    places: BTreeMap<Seat, Place>,
    /// The first incarnation of ranks that were taken in an earlier life of the job.
    first: BTreeMap<WorkerId, Incarnation>,
    /// That of ranks that nobody is known to have taken.
    first_of_others: Incarnation,
}

impl Places {
    pub(super) fn new(lease: Duration) -> Self {
        Self { lease, places: BTreeMap::new(), first: BTreeMap::new(), first_of_others: 1 }
    }

    /// Ranks were taken before, in these incarnations: whoever takes them now is newer.
    pub(super) fn start_above(&mut self, incarnations: &BTreeMap<WorkerId, Incarnation>) {
        let above = |(rank, incarnation): (&WorkerId, &Incarnation)| {
            (*rank, incarnation.saturating_add(UNKNOWN_LIVES + 1))
        };
        self.first = incarnations.iter().map(above).collect();
        self.first_of_others = UNKNOWN_LIVES + 1;
    }

    fn first_incarnation(&self, seat: Seat) -> Incarnation {
        let first = self.first.get(&seat.index).filter(|_| seat.role == Role::Worker);
        let others = if seat.role == Role::Worker { self.first_of_others } else { 1 };
        first.copied().unwrap_or(others)
    }

    pub(super) fn process(&self, seat: Seat) -> Option<&Process> {
        self.places.get(&seat)?.process.as_ref()
    }

    pub(super) fn process_mut(&mut self, seat: Seat) -> Option<&mut Process> {
        self.places.get_mut(&seat)?.process.as_mut()
    }

    /// The place of a process that registered before.
    pub(super) fn seat_of(&self, role: Role, token: u64) -> Option<Seat> {
        let holds = |place: &Place| place.process.as_ref().is_some_and(|p| p.token == token);
        self.of(role).find(|(_, place)| holds(place)).map(|(seat, _)| seat)
    }

    /// The incarnation of a place, or the first that it will have.
    pub(super) fn incarnation(&self, seat: Seat) -> Incarnation {
        let place = self.places.get(&seat);
        place.map_or_else(|| self.first_incarnation(seat), |place| place.incarnation)
    }

    /// Ranks that were ever taken.
    pub(super) fn ranks(&self) -> impl Iterator<Item = u32> + '_ {
        self.of(Role::Worker).map(|(seat, _)| seat.index)
    }

    /// Processes of a role that have not left.
    pub(super) fn live(&self, role: Role) -> impl Iterator<Item = (Seat, &Process)> {
        self.of(role).filter_map(|(seat, place)| {
            let process = place.process.as_ref().filter(|process| !process.has_left)?;
            Some((seat, process))
        })
    }

    /// Processes of every role that have not left.
    pub(super) fn all_live(&self) -> impl Iterator<Item = (Seat, &Process)> {
        [Role::Server, Role::Worker, Role::Evaluator].into_iter().flat_map(|role| self.live(role))
    }

    /// Seats a process, whoever was there before: the place must be free.
    pub(super) fn take(&mut self, seat: Seat, process: Process) -> Incarnation {
        self.vacate(seat);
        let incarnation = self.first_incarnation(seat);
        let place = self.places.entry(seat).or_insert(Place { incarnation, process: None });
        place.process = Some(process);
        place.incarnation
    }

    /// Ends a process's hold; its incarnation is over from now on.
    pub(super) fn vacate(&mut self, seat: Seat) -> Option<Process> {
        let place = self.places.get_mut(&seat)?;
        let process = place.process.take()?;
        place.incarnation += 1;
        Some(process)
    }

    /// Admits a caller's call, which renews its lease.
    pub(super) fn admit(&mut self, caller: Caller, now: Duration) -> Result<&mut Process, Refusal> {
        let current = self.incarnation(caller.seat);
        let stale = Refusal::Stale { seat: caller.seat, found: caller.incarnation, current };
        if caller.incarnation != current {
            return Err(stale);
        }
        let process = self.process_mut(caller.seat).ok_or(stale)?;
        process.last_heard = process.last_heard.max(now);
        Ok(process)
    }

    /// Whether a place's process was silent for a whole lease.
    pub(super) fn is_silent(&self, process: &Process, now: Duration) -> bool {
        now.saturating_sub(process.last_heard) >= self.lease
    }

    /// Places whose processes were silent for a whole lease.
    pub(super) fn silent(&self, now: Duration) -> Vec<Seat> {
        let silent = |place: &Place| place.process.as_ref().is_some_and(|p| self.is_silent(p, now));
        self.places.iter().filter(|(_, place)| silent(place)).map(|(seat, _)| *seat).collect()
    }

    /// Gives everybody more time: it was the master that was away.
    pub(super) fn extend(&mut self, by: Duration) {
        for process in self.places.values_mut().filter_map(|place| place.process.as_mut()) {
            process.last_heard += by;
        }
    }

    fn of(&self, role: Role) -> impl Iterator<Item = (Seat, &Place)> {
        let seat = |index| Seat { role, index };
        self.places.range(seat(0)..=seat(u32::MAX)).map(|(seat, place)| (*seat, place))
    }
}
