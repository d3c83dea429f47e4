//! A machine with members that do as they are told.

use super::super::*;
use crate::correction::Correction;
use crate::data_description::DataDescription;
use crate::keeping::Kept;
use crate::learning::Losses;
use crate::measures::Measure;
use crate::report::Report;
use crate::schedule::{LearningRate, Schedule};
use crate::scores::Scores;
use crate::settings::TrainingSettings;
use ps_kernels::optimizer::Optimizer;

pub(super) const DIGEST: u32 = 77;

pub(super) fn config(servers: u32, workers: u32, passes: u64) -> Config {
    Config {
        servers,
        workers,
        settings: TrainingSettings {
            optimizer: Optimizer::parse("sgd", None, None).unwrap(),
            learning_rate: LearningRate { base: 0.1, schedule: Schedule::Constant, warmup: 0.0 },
            staleness_correction: Correction::Auto,
            staleness_bound: Some(8),
            clip_norm: None,
            passes,
            steps_min: 0,
            batch_size: 10,
            seed: 1,
            wire: crate::settings::Wire::default(),
            pipeline_depth: 0,
            divergence: crate::learning::DivergenceAction::default(),
            freeze: Vec::new(),
            parameter_groups: Vec::new(),
            evaluation: crate::keeping::EvaluationSettings::default(),
        },
        lease: Duration::from_secs(10),
        server_away: Duration::from_secs(30),
        step_timeout: Duration::from_secs(60),
        start_timeout: Duration::from_secs(100),
        barrier_timeout: Duration::from_secs(30),
        evaluation_timeout: Duration::from_secs(600),
        stop_times: crate::stop::StopTimes::default(),
        checkpoints: false,
        keeps_state: false,
        checkpoint_every: CheckpointEvery::default(),
    }
}

/// A job, its time, and everything that it asked its driver for.
pub(super) struct Job {
    pub(super) machine: Machine,
    pub(super) now: Duration,
    pub(super) metrics: Vec<String>,
    pub(super) logs: Vec<String>,
    pub(super) memberships: Vec<Membership>,
    pub(super) reports: Vec<Report>,
    pub(super) saves: usize,
    /// How long each could take.
    pub(super) saves_within: Vec<Option<Duration>>,
    pub(super) checkpoints: Vec<CheckpointRequest>,
    pub(super) restores: Vec<ShardMap>,
    pub(super) part_restores: Vec<ShardRestore>,
    /// Whether checkpoints are written at once.
    pub(super) writes_checkpoints: bool,
    /// Whether the model is.
    pub(super) writes_model: bool,
    pub(super) finished: Option<(u8, Option<String>)>,
    /// The best weights, where they are kept.
    pub(super) kept_file: Option<Kept>,
    /// Whether shards take memberships.
    pub(super) shards_answer: bool,
    /// Whether the servers hold a model.
    pub(super) has_model: bool,
}

pub(super) fn registration(role: Role, token: u64, index: Option<u32>) -> Registration {
    let address = format!("host{token}:2223");
    let data = DataDescription::replicated(100);
    let (highest, life, holds_weights, keeps_best) = (0, 0, false, false);
    let about = None;
    Registration {
        role,
        token,
        index,
        address,
        data,
        highest,
        life,
        holds_weights,
        recovered: false,
        goes_back: false,
        keeps_best,
        about,
    }
}

impl Job {
    pub(super) fn new(config: Config) -> Self {
        Self::of_life(1, config)
    }

    /// A job whose epochs and incarnations start at this number.
    pub(super) fn of_life(life: Life, config: Config) -> Self {
        Self {
            machine: Machine::new(config, life, Duration::ZERO),
            now: Duration::ZERO,
            metrics: Vec::new(),
            logs: Vec::new(),
            memberships: Vec::new(),
            reports: Vec::new(),
            saves: 0,
            saves_within: Vec::new(),
            checkpoints: Vec::new(),
            restores: Vec::new(),
            part_restores: Vec::new(),
            writes_checkpoints: true,
            writes_model: true,
            finished: None,
            kept_file: None,
            shards_answer: true,
            has_model: true,
        }
    }

    /// A job whose servers and workers are there.
    pub(super) fn started(servers: u32, workers: u32, passes: u64) -> (Self, Vec<Caller>) {
        Self::new(config(servers, workers, passes)).start(servers, workers)
    }

    /// Everybody comes.
    pub(super) fn start(self, servers: u32, workers: u32) -> (Self, Vec<Caller>) {
        let mut job = self;
        for shard in 0..servers {
            job.join(Role::Server, u64::from(shard), Some(shard)).unwrap();
        }
        let workers: Vec<_> = (0..workers)
            .map(|rank| job.join(Role::Worker, 100 + u64::from(rank), None).unwrap())
            .collect();
        for worker in &workers {
            assert!(job.beat(*worker).unwrap().shard_map.is_some());
        }
        (job, workers)
    }

    pub(super) fn join(
        &mut self,
        role: Role,
        token: u64,
        index: Option<u32>,
    ) -> Result<Caller, Rejection> {
        self.register(registration(role, token, index))
    }

    pub(super) fn register(&mut self, registration: Registration) -> Result<Caller, Rejection> {
        let role = registration.role;
        let registered = self.machine.register(registration, self.now);
        self.obey();
        let RegisterReply { index, incarnation } = registered?;
        Ok(Caller { member: MemberId { role, index }, incarnation })
    }

    pub(super) fn beat(&mut self, caller: Caller) -> Result<HeartbeatReply, Rejection> {
        self.beat_with(caller, |_| ())
    }

    pub(super) fn beat_with(
        &mut self,
        caller: Caller,
        change: impl FnOnce(&mut Heartbeat),
    ) -> Result<HeartbeatReply, Rejection> {
        let mut beat = heartbeat_of(caller);
        change(&mut beat);
        let word = self.machine.heartbeat(beat, self.now);
        self.obey();
        word
    }

    pub(super) fn ask(
        &mut self,
        caller: Caller,
        number: u64,
        finished: Option<LeaseResult>,
    ) -> Result<Task, Rejection> {
        self.request(TaskRequest { caller, number, finished, evaluated: None })
    }

    pub(super) fn request(&mut self, request: TaskRequest) -> Result<Task, Rejection> {
        let task = self.machine.next_task(request, self.now);
        self.obey();
        task
    }

    /// Asks for a lease, which must be there.
    pub(super) fn lease(&mut self, caller: Caller, number: u64) -> TrainTask {
        match self.ask(caller, number, None) {
            Ok(Task::Train(task)) => task,
            other => panic!("{other:?}"),
        }
    }

    /// Time passes in ticks, the members beating.
    pub(super) fn pass_time(&mut self, seconds: u64, beating: &[Caller]) {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            for caller in beating {
                let _ = self.beat(*caller);
            }
            self.machine.tick(self.now);
            self.obey();
        }
    }

    pub(super) fn servers(&self, count: u32) -> Vec<Caller> {
        let servers = (0..count).map(MemberId::server);
        let caller =
            |member| Caller { member, incarnation: self.machine.registry.incarnation(member) };
        servers.map(caller).collect()
    }

    /// Works through the job with these members until all are told to leave.
    pub(super) fn work(&mut self, callers: &[Caller], mut number: u64) {
        let mut reports = vec![(None, None); callers.len()];
        for _ in 0..10_000 {
            self.pass_time(1, callers);
            number += 1;
            for (caller, report) in callers.iter().zip(&mut reports) {
                if caller.member.role == Role::Server {
                    continue;
                }
                let (finished, evaluated) = std::mem::take(report);
                let request = TaskRequest { caller: *caller, number, finished, evaluated };
                match self.request(request) {
                    Ok(Task::Train(task)) => report.0 = Some(done(&task)),
                    Ok(Task::Evaluate(task)) => report.1 = Some(measured(task)),
                    Ok(Task::Wait(_)) | Err(_) => (),
                }
            }
            if self.machine.is_finished() {
                return;
            }
        }
        panic!("the job never ends: {:?}", self.machine.lifecycle.phase());
    }

    /// Does what the machine asks its driver for.
    pub(super) fn obey(&mut self) {
        loop {
            let actions = self.machine.take_actions();
            if actions.is_empty() {
                return;
            }
            for action in actions {
                self.obey_one(action);
            }
        }
    }

    fn obey_one(&mut self, action: Action) {
        match action {
            Action::SetMembership(membership) => {
                if self.shards_answer {
                    for shard in 0..membership.shard_map.addresses.len() {
                        let (shard, revision) = (shard as u32, membership.revision);
                        let server = self.machine.registry.process(MemberId::server(shard));
                        let token = server.map_or(0, |server| server.token);
                        self.machine.membership_acknowledged(shard, revision, token, self.now);
                    }
                }
                self.memberships.push(membership);
            }
            Action::FindKept(job) => {
                let found = self.kept_file.clone().filter(|kept| kept.job == job);
                self.machine.kept_found(Ok(found), self.now);
            }
            Action::SaveModel { within, kept, .. } => {
                self.saves_within.push(within);
                self.saves += 1;
                if !self.has_model {
                    return self.machine.no_model(self.now);
                }
                if !self.writes_model {
                    return;
                }
                let digest = kept.as_ref().map_or(DIGEST, |kept| kept.digest);
                let kept = kept.map(|kept| *kept);
                let written = ModelWritten { digest, kept, ..ModelWritten::default() };
                self.machine.model_written(Ok(written), self.now);
            }
            Action::WriteCheckpoint(checkpoint) => {
                let number = checkpoint.number;
                self.checkpoints.push(*checkpoint);
                if self.writes_checkpoints {
                    self.machine.checkpoint_written(number, Ok(()), self.now);
                }
            }
            Action::Restore(shard_map, _) => self.restores.push(shard_map),
            Action::RestoreShard(restore) => self.part_restores.push(restore),
            Action::WriteReport(report) => self.reports.push(*report),
            Action::Metric(line) => self.metrics.push(line),
            Action::Log(_, line) => self.logs.push(line),
            Action::Finished { exit_code, reason } => self.finished = Some((exit_code, reason)),
        }
    }
}

/// A sign of life, and no more.
pub(super) fn heartbeat_of(caller: Caller) -> Heartbeat {
    Heartbeat {
        holds_weights: caller.member.role == Role::Server,
        caller,
        clock: 0,
        waiting: false,
        counters: None,
        leaving: false,
        parent_gone: false,
        map_revision: 0,
        updates: 0,
    }
}

/// A lease done with a loss that falls from pass to pass.
pub(super) fn done(task: &TrainTask) -> LeaseResult {
    let mut losses = Losses::default();
    for _ in 0..(task.end - task.start).div_ceil(10) {
        losses.add(&Losses::of_step(2.0 / (task.pass + 1) as f64, 10));
    }
    LeaseResult { lease: task.lease, samples: task.end - task.start, losses }
}

pub(super) fn measured(task: EvaluateTask) -> EvaluationResult {
    let test = Scores {
        loss: 0.0812,
        accuracy: Some(0.97712),
        measures: vec![Measure { name: "auc".to_owned(), value: 0.5 }],
        samples: 50,
    };
    EvaluationResult {
        number: task.number,
        test: Some(test),
        validation: None,
        weights_digest: DIGEST,
        is_kept: false,
        keep_error: None,
        error: None,
    }
}
