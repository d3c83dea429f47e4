//! Random courses of a job: whatever is lost, repeated, reordered or dies.

mod event;
mod restart;
mod servers;

use super::super::*;
use super::harness::*;
use crate::ids::{LIFE_DISTANCE, Life};
use event::{Event, event};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const SERVERS: u32 = 2;
const WORKERS: u32 = 3;
const SAMPLES: u64 = 100;
const PASSES: u64 = 2;

/// A worker process as the network shows it.
#[derive(Default)]
struct Process {
    token: u64,
    caller: Option<Caller>,
    number: u64,
    sent: Vec<TaskRequest>,
    finished: Option<LeaseResult>,
    evaluated: Option<EvaluationResult>,
}

/// A checkpoint, and the samples that were done when it was asked for.
#[derive(Clone)]
struct Saved {
    checkpoint: CheckpointRequest,
    covered: Vec<(u64, u64)>,
}

struct World {
    job: Job,
    /// Asked for and neither complete nor failed.
    writing: Option<Saved>,
    complete: Option<Saved>,
    /// Whether the newest could not be written.
    has_failed: bool,
    processes: Vec<Process>,
    next_token: u64,
    tasks: BTreeMap<u64, TrainTask>,
    done: BTreeSet<u64>,
    samples_done: u64,
    incarnations: BTreeMap<u32, u64>,
    seen: (u64, u64, usize),
}

impl World {
    fn new() -> Self {
        Self::of(1, CheckpointHistory { has_any: false, next_number: 1 })
    }

    /// Another life of the job, which goes on from a checkpoint.
    fn second(saved: &Saved) -> Self {
        let CheckpointRequest { number, state, .. } = saved.checkpoint.clone();
        let life = state.highest + LIFE_DISTANCE;
        let mut world =
            Self::of(life, CheckpointHistory { has_any: true, next_number: number + 1 });
        world.samples_done = state.samples_done;
        let epoch = world.job.restores[0].epoch;
        assert!(epoch > state.highest);
        let restored = RestoredCheckpoint { number, state, chunk_elements: 64, older: Vec::new() };
        world.job.machine.restored(epoch, Ok(Box::new(restored)), Duration::ZERO);
        world
    }

    fn of(life: Life, found: CheckpointHistory) -> Self {
        let config = Config { checkpoints: true, ..config(SERVERS, WORKERS, PASSES) };
        let mut job = Job::of_life(life, config);
        job.writes_checkpoints = false;
        job.machine.start_after(found);
        for shard in 0..SERVERS {
            job.join(Role::Server, shard.into(), Some(shard)).unwrap();
        }
        let processes = (0..=WORKERS).map(|_| Process::default()).collect();
        Self {
            job,
            writing: None,
            complete: None,
            has_failed: false,
            processes,
            next_token: 100,
            tasks: BTreeMap::new(),
            done: BTreeSet::new(),
            samples_done: 0,
            incarnations: BTreeMap::new(),
            seen: (0, 0, 0),
        }
    }

    /// Passes and samples of the leases that are done.
    fn covered(&self) -> Vec<(u64, u64)> {
        let tasks = self.done.iter().map(|lease| &self.tasks[lease]);
        let samples = tasks.flat_map(|task| (task.start..task.end).map(|s| (task.pass, s)));
        samples.collect()
    }

    /// One checkpoint at a time, in order, that knows exactly what is done.
    fn check_checkpoints(&mut self) {
        for checkpoint in std::mem::take(&mut self.job.checkpoints) {
            assert!(self.writing.is_none(), "two at a time");
            let covered = self.covered();
            assert_eq!(checkpoint.state.samples_done, self.samples_done);
            let known = self.incarnations.values().max();
            assert!(known.is_none_or(|known| *known <= checkpoint.state.highest));
            if let Some(before) = &self.complete {
                assert!(before.checkpoint.number < checkpoint.number);
                assert_eq!(checkpoint.keep[0], before.checkpoint.number);
            }
            self.writing = Some(Saved { checkpoint, covered });
        }
    }

    fn written(&mut self, is_complete: bool) {
        let Some(saved) = self.writing.take() else {
            return;
        };
        let number = saved.checkpoint.number;
        let written = if is_complete { Ok(()) } else { Err("no space".to_owned()) };
        self.has_failed = !is_complete;
        if is_complete {
            self.complete = Some(saved);
        }
        self.job.machine.checkpoint_written(number, written, self.job.now);
        self.job.obey();
    }

    fn apply(&mut self, event: &Event) {
        match *event {
            Event::Time(tenths) => self.time(tenths, None),
            // Before anybody has begun, a server that is silent, or elsewhere, restores again.
            Event::Silence(..) | Event::Move(_) if !self.job.machine.membership.has_begun() => (),
            Event::Silence(shard, seconds) => self.silence(shard, seconds),
            Event::Move(shard) => self.move_server(shard),
            Event::Beat(index) => self.beat(index),
            Event::Ask(index) => self.ask(index),
            Event::Repeat(index, back) => self.repeat(index, back),
            Event::Register(index) => self.register(index),
            Event::Die(index) => self.processes[index] = Process::default(),
            Event::Evaluator => {
                let _ = self.job.join(Role::Evaluator, 7, None);
            }
            Event::Written(is_complete) => self.written(is_complete),
            Event::Restart(is_complete) => self.restart(is_complete),
        }
        self.check();
    }

    fn time(&mut self, tenths: u64, silent: Option<u32>) {
        for _ in 0..tenths {
            self.job.now += Duration::from_millis(100);
            self.job.machine.tick(self.job.now);
            self.job.obey();
            for server in self.job.servers(SERVERS) {
                if Some(server.member.index) != silent {
                    let _ = self.job.beat(server);
                }
            }
        }
    }

    fn register(&mut self, index: usize) {
        let process = &mut self.processes[index];
        if process.caller.is_none() {
            self.next_token += 1;
            process.token = self.next_token;
        }
        let Ok(caller) = self.job.join(Role::Worker, process.token, None) else {
            return;
        };
        if process.caller == Some(caller) {
            return;
        }
        // The lease was over: this is another life.
        let before = process.caller.filter(|before| before.member == caller.member);
        assert!(before.is_none_or(|before| before.incarnation < caller.incarnation));
        let token = process.token;
        *process = Process { token, caller: Some(caller), ..Process::default() };
    }

    fn beat(&mut self, index: usize) {
        let Some(caller) = self.processes[index].caller else {
            return self.register(index);
        };
        let clock = self.processes[index].number;
        if self.job.beat_with(caller, |beat| beat.clock = clock).is_err() {
            self.processes[index] = Process::default();
        }
    }

    fn ask(&mut self, index: usize) {
        let process = &mut self.processes[index];
        let Some(caller) = process.caller else {
            return self.register(index);
        };
        process.number += 1;
        let request = TaskRequest {
            caller,
            number: process.number,
            finished: process.finished.take(),
            evaluated: process.evaluated.take(),
        };
        process.sent.push(request.clone());
        self.send(index, request);
    }

    fn repeat(&mut self, index: usize, back: usize) {
        let sent = &self.processes[index].sent;
        let Some(request) = sent.iter().rev().nth(back).cloned() else {
            return;
        };
        if back == 0 {
            return self.send(index, request);
        }
        // An echo of an older request: its answer goes nowhere and nothing is counted.
        let before = self.job.machine.snapshot().samples_done;
        let _ = self.job.request(request);
        assert_eq!(self.job.machine.snapshot().samples_done, before);
    }

    fn send(&mut self, index: usize, request: TaskRequest) {
        let before = self.job.machine.snapshot().samples_done;
        let Ok(task) = self.job.request(request.clone()) else {
            self.processes[index] = Process::default();
            return;
        };
        let counted = self.job.machine.snapshot().samples_done - before;
        if counted > 0 {
            let lease = request.finished.unwrap().lease;
            let task = &self.tasks[&lease];
            assert_eq!(counted, task.end - task.start);
            assert!(self.done.insert(lease), "lease {lease} counted twice");
            self.samples_done += counted;
        }
        let process = &mut self.processes[index];
        match task {
            Task::Train(task) => {
                assert!(task.end <= SAMPLES && task.start < task.end && task.pass < PASSES);
                process.finished = Some(done(&task));
                let before = self.tasks.insert(task.lease, task.clone());
                assert!(before.is_none_or(|before| before == task));
            }
            Task::Evaluate(task) => process.evaluated = Some(measured(task)),
            Task::Wait(_) => (),
        }
    }

    /// What grows never shrinks.
    fn check(&mut self) {
        self.check_checkpoints();
        let (mut epoch, mut revision, checked) = self.seen;
        for membership in &self.job.memberships[checked..] {
            assert!(membership.shard_map.epoch >= epoch && membership.revision > revision);
            (epoch, revision) = (membership.shard_map.epoch, membership.revision);
            for worker in &membership.workers {
                let known = self.incarnations.entry(worker.worker).or_default();
                assert!(worker.incarnation >= *known);
                *known = worker.incarnation;
            }
        }
        self.seen = (epoch, revision, self.job.memberships.len());
        let callers = self.processes.iter().filter_map(|process| process.caller);
        for process in callers.filter(|caller| caller.member.role == Role::Worker) {
            assert!(
                process.incarnation
                    <= self.incarnations.get(&process.member.index).copied().unwrap_or(u64::MAX)
            );
        }
    }

    /// From now on one worker keeps asking; the job must end, whatever happened before.
    fn finish(&mut self) {
        for _ in 0..3_000 {
            if self.job.machine.is_finished() {
                return;
            }
            self.beat(0);
            self.ask(0);
            self.time(5, None);
            self.check();
            self.written(true);
            self.check();
        }
        panic!("the job never ends: {:?}", self.job.machine.lifecycle.phase());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_happens_the_job_ends_and_every_sample_is_done(
        events in prop::collection::vec(event(), 0..300),
    ) {
        let mut world = World::new();
        events.iter().for_each(|event| world.apply(event));
        world.finish();
        let (code, reason) = world.job.finished.clone().unwrap();
        if code != 0 {
            // Only for want of workers.
            let reason = reason.unwrap();
            prop_assert!(reason.contains("no worker") || reason.contains("any worker"), "{}", reason);
            return Ok(());
        }
        let mut covered: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for lease in &world.done {
            let task = &world.tasks[lease];
            (task.start..task.end).for_each(|sample| *covered.entry((task.pass, sample)).or_default() += 1);
        }
        prop_assert_eq!(covered.len() as u64, SAMPLES * PASSES);
        prop_assert_eq!(world.samples_done, SAMPLES * PASSES, "counted once per sample and pass");
        prop_assert_eq!(world.job.saves, 1);
        if !world.has_failed {
            let last = world.complete.map(|saved| saved.covered.len() as u64);
            prop_assert_eq!(last, Some(SAMPLES * PASSES), "the last checkpoint has everything");
        }
    }

    #[test]
    fn killed_at_any_time_the_job_goes_on_and_every_sample_is_done(
        before in prop::collection::vec(event(), 0..300),
        after in prop::collection::vec(event(), 0..100),
    ) {
        let mut first = World::new();
        before.iter().for_each(|event| first.apply(event));
        let Some(saved) = first.complete else {
            return Ok(());
        };
        let mut second = World::second(&saved);
        after.iter().for_each(|event| second.apply(event));
        second.finish();
        if second.job.finished.clone().unwrap().0 != 0 {
            return Ok(());
        }
        let covered: BTreeSet<_> = saved.covered.iter().copied().chain(second.covered()).collect();
        prop_assert_eq!(covered.len() as u64, SAMPLES * PASSES);
        let lives = saved.covered.len() + second.covered().len();
        prop_assert_eq!(lives, covered.len(), "nothing that was saved is done again");
        prop_assert_eq!(second.job.reports[0].passes.len() as u64, PASSES);
    }
}
