//! Random courses of grants, ends and absences: nothing is lost, nothing is done twice.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const PASSES: u64 = 3;
const WORKERS: u32 = 3;

#[derive(Clone, Debug)]
enum Event {
    Ask(u32),
    /// Finishes what it holds and asks for more.
    Finish(u32),
    GiveBack(u32),
    /// Its lease with the master is over.
    Expire(u32),
    Return(u32),
    /// The evaluator goes, or comes.
    Served(bool),
    /// The job is stopped and goes on from its cursor.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let worker = 0..WORKERS;
    prop_oneof![
        4 => worker.clone().prop_map(Event::Ask),
        8 => worker.clone().prop_map(Event::Finish),
        1 => worker.clone().prop_map(Event::GiveBack),
        1 => worker.clone().prop_map(Event::Expire),
        1 => worker.prop_map(Event::Return),
        1 => any::<bool>().prop_map(Event::Served),
        1 => Just(Event::Restart),
    ]
}

struct World {
    shares: Vec<u64>,
    served: u64,
    leases: Leases,
    away: BTreeSet<u32>,
    /// By source and pass: positions that were finished.
    done: BTreeMap<(SourceId, u64), BTreeSet<u64>>,
    skipped: BTreeMap<(SourceId, u64), u64>,
    ended: Vec<u64>,
}

impl World {
    fn new(shares: Vec<u64>, served: u64) -> Self {
        Self {
            leases: sharded(&shares, served, PASSES),
            shares,
            served,
            away: BTreeSet::new(),
            done: BTreeMap::new(),
            skipped: BTreeMap::new(),
            ended: Vec::new(),
        }
    }

    fn apply(&mut self, event: &Event) {
        match *event {
            Event::Ask(worker) => self.ask(worker),
            Event::Finish(worker) => {
                self.finish(worker);
                self.ask(worker);
            }
            Event::GiveBack(worker) => {
                self.leases.give_back(worker);
            }
            Event::Expire(worker) => {
                self.leases.give_back(worker);
                self.leases.suspend(own(worker));
                self.away.insert(worker);
            }
            Event::Return(worker) => {
                self.leases.revive(own(worker));
                self.away.remove(&worker);
            }
            Event::Served(true) => self.leases.revive(SHARED),
            Event::Served(false) => {
                self.leases.suspend(SHARED);
            }
            Event::Restart => self.restart(),
        }
        self.take_ended();
    }

    fn ask(&mut self, worker: u32) {
        if self.away.contains(&worker) || self.leases.held_by(worker).is_some() {
            return;
        }
        let Some(lease) = self.leases.grant(worker, true) else {
            return;
        };
        assert!([SHARED, own(worker)].contains(&lease.source), "another's samples: {lease:?}");
        assert!(!self.ended.contains(&lease.positions.pass), "of a pass that is over: {lease:?}");
    }

    fn finish(&mut self, worker: u32) {
        let Some(lease) = self.leases.held_by(worker).copied() else {
            return;
        };
        assert!(super::finish(&mut self.leases, worker, lease.id));
        let done = self.done.entry((lease.source, lease.positions.pass)).or_default();
        for position in lease.positions.start..lease.positions.end {
            assert!(done.insert(position), "finished twice: {lease:?} {position}");
        }
    }

    /// Everything that was out is lost with the processes, which then all come back.
    fn restart(&mut self) {
        let text = serde_json::to_string(&self.leases.cursor()).unwrap();
        let cursor = serde_json::from_str(&text).unwrap();
        let mut leases = Leases::new(DataKind::Sharded, PASSES, 10, WORKERS);
        leases.resume(&cursor).unwrap();
        for (rank, samples) in (0..).zip(&self.shares) {
            leases.add(own(rank), *samples).unwrap();
        }
        leases.add(SHARED, self.served).unwrap();
        assert_eq!(leases.cursor(), cursor);
        self.leases = leases;
        self.away.clear();
    }

    fn take_ended(&mut self) {
        for end in self.leases.take_ended() {
            assert_eq!(end.pass, self.ended.len() as u64, "passes end once and in order");
            let out = WORKERS_ALL.filter_map(|worker| self.leases.held_by(worker));
            assert_eq!(out.filter(|lease| lease.positions.pass <= end.pass).count(), 0);
            self.ended.push(end.pass);
            for (source, samples) in end.skipped {
                assert!(self.skipped.insert((source, end.pass), samples).is_none());
            }
        }
    }

    /// Everybody comes back and works on.
    fn work_to_the_end(&mut self) {
        for worker in WORKERS_ALL {
            self.apply(&Event::Return(worker));
        }
        self.apply(&Event::Served(true));
        for _ in 0..10_000 {
            if self.leases.are_done() {
                return;
            }
            WORKERS_ALL.for_each(|worker| self.apply(&Event::Finish(worker)));
        }
        panic!("never done: {:?}", self.leases);
    }
}

const WORKERS_ALL: std::ops::Range<u32> = 0..WORKERS;

proptest! {
    #[test]
    fn each_sample_of_each_pass_is_finished_once_or_skipped_and_counted(
        shares in prop::collection::vec(prop_oneof![Just(0), 1_u64..200], WORKERS as usize),
        served in prop_oneof![Just(0), 1_u64..200],
        events in prop::collection::vec(event(), 0..200),
    ) {
        let mut world = World::new(shares.clone(), served);
        events.iter().for_each(|event| world.apply(event));
        world.work_to_the_end();
        prop_assert_eq!(&world.ended, &(0..PASSES).collect::<Vec<_>>());
        let sources = (0..).zip(&shares).map(|(rank, samples)| (own(rank), *samples));
        for (source, samples) in sources.chain([(SHARED, served)]) {
            for pass in 0..PASSES {
                let done = world.done.get(&(source, pass)).map_or(0, |done| done.len() as u64);
                let skipped = world.skipped.get(&(source, pass)).copied().unwrap_or(0);
                prop_assert_eq!(done + skipped, samples, "source {} pass {}", source, pass);
            }
        }
        let skipped: u64 = world.leases.skipped().map(|(_, samples)| samples).sum();
        prop_assert_eq!(skipped, world.skipped.values().sum::<u64>());
        let (done, total) = world.leases.progress();
        prop_assert_eq!(done, total);
        prop_assert_eq!(world.leases.samples_done() + skipped, total);
    }

    #[test]
    fn without_absence_nothing_is_skipped_and_a_served_share_keeps_pace(
        own_samples in 100_u64..1000,
        served in 100_u64..1000,
    ) {
        let mut leases = sharded(&[own_samples, own_samples], served, 1);
        while leases.samples_done() * 2 < own_samples * 2 + served {
            for worker in 0..2 {
                let lease = leases.grant(worker, true).unwrap();
                prop_assert!(super::finish(&mut leases, worker, lease.id));
            }
        }
        // Half of all is done: of the served share it is half, give or take a few leases.
        let done = leases.cursor().sources[&SHARED].samples_done;
        let slack = served / 4 + 20;
        prop_assert!(done.abs_diff(served / 2) <= slack, "{} of {}", done, served);
    }
}
