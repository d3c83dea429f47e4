//! Registration: who may take which place.

use super::places::Process;
use super::types::{Level, Refusal, Registered, Registration, Role, Seat, ShardMap};
use super::{Machine, Worker};
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
    ) -> Result<Registered, Refusal> {
        let registered = self.try_register(&registration, now);
        self.advance(now);
        registered
    }

    fn try_register(
        &mut self,
        registration: &Registration,
        now: Duration,
    ) -> Result<Registered, Refusal> {
        let known = self.places.seat_of(registration.role, registration.token);
        if let Some(seat) = known
            && let Some(process) = self.places.process_mut(seat)
        {
            process.last_heard = process.last_heard.max(now);
            return Ok(self.registered(seat));
        }
        if let Some(reason) = self.phase.closed() {
            return Err(Refusal::JobOver { reason });
        }
        self.check_data(registration)?;
        let seat = match registration.role {
            Role::Server => self.server_seat(registration)?,
            Role::Worker => self.worker_seat(registration, now)?,
            Role::Evaluator => Seat { role: Role::Evaluator, index: 0 },
        };
        self.check_share(seat, registration)?;
        self.make_room(seat, registration, now)?;
        self.settle(seat, registration, now);
        Ok(self.registered(seat))
    }

    fn registered(&self, seat: Seat) -> Registered {
        Registered { index: seat.index, incarnation: self.places.incarnation(seat) }
    }

    fn server_seat(&self, registration: &Registration) -> Result<Seat, Refusal> {
        let asker = || registration.address.clone();
        let index = registration.index.ok_or_else(|| Refusal::NoIndex { asker: asker() })?;
        self.seat_in(Role::Server, index, self.config.servers, asker())
    }

    fn seat_in(&self, role: Role, index: u32, count: u32, asker: String) -> Result<Seat, Refusal> {
        let seat = Seat { role, index };
        if index < count { Ok(seat) } else { Err(Refusal::NoSuchPlace { seat, asker, count }) }
    }

    /// The rank that it prefers, or the lowest free one.
    fn worker_seat(&self, registration: &Registration, now: Duration) -> Result<Seat, Refusal> {
        let (asker, workers) = (registration.address.clone(), self.config.workers);
        if let Some(index) = registration.index {
            return self.seat_in(Role::Worker, index, workers, asker);
        }
        let seats = (0..workers).map(|index| Seat { role: Role::Worker, index });
        let free: Vec<Seat> = seats.filter(|seat| !self.is_held(*seat, now)).collect();
        let is_its_own = |seat: &&Seat| self.check_share(**seat, registration).is_ok();
        let seat = free.iter().find(is_its_own).or(free.first());
        seat.copied().ok_or_else(|| Refusal::Full { workers, holders: self.holders(), asker })
    }

    fn holders(&self) -> String {
        let addresses = self.places.live(Role::Worker).map(|(_, process)| process.address.as_str());
        addresses.collect::<Vec<_>>().join(", ")
    }

    fn is_held(&self, seat: Seat, now: Duration) -> bool {
        let holder = self.places.process(seat);
        holder.is_some_and(|holder| !holder.has_left && !self.places.is_silent(holder, now))
    }

    /// Refuses a place that is held by a live process; expires a holder whose lease is over.
    fn make_room(
        &mut self,
        seat: Seat,
        registration: &Registration,
        now: Duration,
    ) -> Result<(), Refusal> {
        let Some(holder) = self.places.process(seat) else {
            return Ok(());
        };
        // Nobody else can listen where a live server does: its process was replaced.
        let was_restarted = seat.role == Role::Server && holder.address == registration.address;
        if was_restarted && self.has_begun {
            let address = holder.address.clone();
            self.fail(format!("{seat} at {address} restarted and lost its weights"), now);
        } else if self.is_held(seat, now) {
            return Err(Refusal::Taken {
                seat,
                holder: holder.address.clone(),
                asker: registration.address.clone(),
            });
        } else {
            self.expire(seat, "was silent for its lease", now);
        }
        match self.phase.closed() {
            Some(reason) => Err(Refusal::JobOver { reason }),
            None => Ok(()),
        }
    }

    /// Gives the place to the process.
    fn settle(&mut self, seat: Seat, registration: &Registration, now: Duration) {
        let process = Process {
            token: registration.token,
            address: registration.address.clone(),
            data: registration.data.clone(),
            last_heard: now,
            leaving: None,
            has_left: false,
        };
        self.places.take(seat, process);
        self.answers.remove(&seat);
        let incarnation = self.places.incarnation(seat);
        let address = &registration.address;
        self.log(Level::Info, format!("{seat} is at {address} (incarnation {incarnation})"));
        match seat.role {
            Role::Server => {
                self.epoch = self.epoch.max(registration.epoch);
                self.draw_shard_map();
            }
            Role::Worker => self.settle_worker(seat.index, registration, now),
            Role::Evaluator => (),
        }
        self.data_came(seat, &registration.data, now);
    }

    fn settle_worker(&mut self, rank: u32, registration: &Registration, now: Duration) {
        self.workers.insert(rank, Worker { moved: now, ..Worker::default() });
        self.record.joined(rank, &registration.address);
        self.alone = None;
    }

    /// Once every server is there: where the shards are, in an epoch above all that any has seen.
    fn draw_shard_map(&mut self) {
        let processes: Vec<_> = self.places.live(Role::Server).collect();
        if processes.len() < self.config.servers as usize {
            return;
        }
        let addresses = processes.iter().map(|(_, process)| process.address.clone()).collect();
        self.epoch += 1;
        self.checkpoints.shards_changed();
        self.shard_map = Some(ShardMap { epoch: self.epoch, addresses });
        let (epoch, servers) = (self.epoch, self.config.servers);
        self.log(Level::Info, format!("all {servers} servers are there; epoch {epoch}"));
    }
}
