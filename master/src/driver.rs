//! The one task that owns the machine: passes calls in, does what comes out.

use crate::about::{About, CONFIG_FILE};
use crate::checkpoints::{Catalog, Cluster};
use crate::config::Config;
use crate::reporter::Reporter;
use crate::serve::{Error, REPORT_FILE};
use crate::service::Call;
use crate::shards::Shards;
use crate::weights;
use ps_core::limits::CONTROL_CALLS_MAX;
use ps_core::master::{Action, Checkpoint, Level, Machine, ModelWritten, Restored};
use ps_core::model_file::{MODEL_FILE, to_safetensors};
use ps_core::model_spec::ModelSpec;
use ps_core::report::Report;
use ps_core::settings::TrainingSettings;
use ps_runtime::files::{FileStore, Files};
use ps_runtime::link::Link;
use ps_runtime::{Outside, Shutdown, blocking};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// How often time passes for the machine: a fraction of the lease, within reason.
const TICKS_PER_LEASE: u32 = 20;
const TICK_SHORTEST: Duration = Duration::from_millis(20);
const TICK_LONGEST: Duration = Duration::from_millis(250);

/// What the driver's own tasks have to say.
pub(crate) enum Event {
    /// A shard knows this revision of the membership.
    Told { shard: u32, revision: u64 },
    /// A shard does not listen to this master.
    ShardRefused { shard: u32, message: String },
    /// The model is written, or cannot be.
    Written(Result<ModelWritten, String>),
    /// A checkpoint is complete, or cannot be.
    Checkpoint { number: u64, written: Result<(), String> },
    /// The shards of an epoch hold what a checkpoint saved, or cannot.
    Restored { epoch: u64, restored: Result<Box<Restored>, String> },
    /// The servers hold no model.
    NoModel,
}

/// The machine with everything around it.
pub(crate) struct Driver {
    job: String,
    about: About,
    lease: Duration,
    machine: Machine,
    outside: Outside,
    shutdown: Shutdown,
    files: Files,
    checkpoints: Option<(Files, Arc<Catalog>)>,
    settings: TrainingSettings,
    shards: Shards,
    events: mpsc::Receiver<Event>,
    sender: mpsc::Sender<Event>,
    epoch: u64,
    reporter: Reporter,
    saving: JoinSet<()>,
    restoring: JoinSet<()>,
    report_error: Option<std::io::Error>,
}

impl Driver {
    /// A driver of a job that begins, or goes on from what the folder for checkpoints holds.
    pub(crate) fn new(
        config: Config,
        outside: &Outside,
        shutdown: Shutdown,
        files: Files,
        checkpoints: Option<Files>,
    ) -> Result<Self, Error> {
        let (sender, events) = mpsc::channel(CONTROL_CALLS_MAX);
        let (lease, settings) = (config.machine.lease, config.machine.settings.clone());
        let mut machine = Machine::new(config.machine, outside.clock.now());
        let checkpoints = match checkpoints {
            Some(files) => {
                let catalog = blocking(|| Catalog::read(files.as_ref()));
                let catalog = catalog.map_err(Error::Checkpoints)?;
                machine.found(catalog.found());
                Some((files, Arc::new(catalog)))
            }
            None => None,
        };
        Ok(Self {
            lease,
            machine,
            settings,
            checkpoints,
            outside: outside.clone(),
            shutdown,
            files,
            shards: Shards::new(&config.job, outside, sender.clone()),
            job: config.job,
            about: config.about,
            events,
            sender,
            epoch: 0,
            reporter: Reporter::new(config.show_bar),
            saving: JoinSet::new(),
            restoring: JoinSet::new(),
            report_error: None,
        })
    }

    /// Drives the job to its end; what the master exits with.
    pub(crate) async fn run(mut self, mut calls: mpsc::Receiver<Call>) -> Result<u8, Error> {
        let tick = (self.lease / TICKS_PER_LEASE).clamp(TICK_SHORTEST, TICK_LONGEST);
        let mut ticks = tokio::time::interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shutdown = self.shutdown.clone();
        let mut is_signalled = false;
        loop {
            // Time comes before calls: a flood of them must not stop it.
            tokio::select! {
                biased;
                signal = shutdown.wait(), if !is_signalled => {
                    is_signalled = true;
                    self.machine.signal(signal.exit_code(), self.outside.clock.now());
                }
                _ = ticks.tick() => self.tick(),
                Some(event) = self.events.recv() => self.take(event),
                Some(call) = calls.recv() => self.answer(call),
            }
            if let Some(end) = self.act() {
                self.reporter.finish();
                return end;
            }
        }
    }

    fn tick(&mut self) {
        let now = self.outside.clock.now();
        self.machine.tick(now);
        let machine = &self.machine;
        self.reporter.show(now, || machine.snapshot());
    }

    fn take(&mut self, event: Event) {
        let now = self.outside.clock.now();
        match event {
            Event::Told { shard, revision } => {
                self.machine.membership_acknowledged(shard, revision, now);
            }
            Event::ShardRefused { shard, message } => {
                self.machine.shard_refused(shard, &message, now);
            }
            Event::Written(written) => self.machine.model_written(written, now),
            Event::Checkpoint { number, written } => {
                self.machine.checkpoint_written(number, written, now);
            }
            Event::Restored { epoch, restored } => self.machine.restored(epoch, restored, now),
            Event::NoModel => self.machine.no_model(now),
        }
    }

    /// Answers a call; whoever gave up waiting repeats it.
    fn answer(&mut self, call: Call) {
        let (machine, now) = (&mut self.machine, self.outside.clock.now());
        match call {
            Call::Register(registration, reply) => {
                let _ = reply.send(machine.register(registration, now));
            }
            Call::Heartbeat(beat, reply) => {
                let _ = reply.send(machine.heartbeat(beat, now));
            }
            Call::NextTask(request, reply) => {
                let _ = reply.send(machine.next_task(request, now));
            }
            Call::Failure(reason, reply) => {
                machine.others_failed(reason, now);
                let _ = reply.send(Ok(()));
            }
        }
    }

    /// Does what the machine wants; the end, when there is one.
    fn act(&mut self) -> Option<Result<u8, Error>> {
        loop {
            let actions = self.machine.take_actions();
            if actions.is_empty() {
                return None;
            }
            for action in actions {
                match action {
                    Action::Finished { exit_code, reason } => {
                        return Some(self.end(exit_code, reason));
                    }
                    action => self.act_once(action),
                }
            }
        }
    }

    fn act_once(&mut self, action: Action) {
        match action {
            Action::SetMembership(membership) => {
                self.epoch = membership.shard_map.epoch;
                if let Err(error) = self.shards.tell(membership) {
                    let now = self.outside.clock.now();
                    self.machine.others_failed(format!("a server's {error}"), now);
                }
            }
            Action::SaveModel => self.save(),
            Action::Checkpoint(checkpoint) => self.write_checkpoint(*checkpoint),
            Action::Restore(shard_map) => self.restore(shard_map.epoch),
            Action::WriteReport(report) => self.write_report(&report),
            Action::Metric(line) => (self.outside.metrics)(&line),
            Action::Log(level, line) => self.reporter.around(|| log(level, &line)),
            Action::Finished { .. } => (),
        }
    }

    /// Reads and writes the model beside the driver, which goes on answering.
    fn save(&mut self) {
        let (job, epoch, files) = (self.job.clone(), self.epoch, self.files.clone());
        let (links, sender) = (self.shards.links().to_vec(), self.sender.clone());
        let (about, data) = (self.about.clone(), self.machine.data());
        self.saving.spawn(async move {
            let config = |spec: &ModelSpec| about.to_json(spec, &data);
            let event = save(&job, epoch, &links, files.as_ref(), config).await;
            let _ = sender.send(event).await;
        });
    }

    fn cluster(&self, epoch: u64) -> Cluster {
        let (job, links) = (self.job.clone(), self.shards.links().to_vec());
        Cluster { job, epoch, links, lease: self.lease }
    }

    fn write_checkpoint(&mut self, checkpoint: Checkpoint) {
        let Some((files, _)) = self.checkpoints.clone() else {
            return;
        };
        let (cluster, sender) = (self.cluster(self.epoch), self.sender.clone());
        self.saving.spawn(async move {
            let number = checkpoint.number;
            let written = cluster.write(checkpoint, files.as_ref()).await;
            let _ = sender.send(Event::Checkpoint { number, written }).await;
        });
    }

    /// Restores beside the driver; what was begun with other servers is given up.
    fn restore(&mut self, epoch: u64) {
        self.restoring.abort_all();
        let Some((files, catalog)) = self.checkpoints.clone() else {
            return;
        };
        let (cluster, sender) = (self.cluster(epoch), self.sender.clone());
        let settings = self.settings.clone();
        self.restoring.spawn(async move {
            let restored = catalog.restore(&cluster, &settings, files.as_ref()).await;
            let restored = restored.map(Box::new);
            let _ = sender.send(Event::Restored { epoch, restored }).await;
        });
    }

    fn write_report(&mut self, report: &Report) {
        self.reporter.finish();
        let written = serde_json::to_vec_pretty(report)
            .map_err(std::io::Error::from)
            .and_then(|bytes| blocking(|| self.files.write(REPORT_FILE, &bytes)));
        for line in report.summary() {
            tracing::info!("{line}");
        }
        let location = self.files.location();
        if report.timings.saving > 0.0 && !report.servers.is_empty() {
            tracing::info!("the model is in {location}/{MODEL_FILE}");
        }
        if let (Some((files, _)), Some(newest)) = (&self.checkpoints, report.checkpoint) {
            let location = files.location();
            tracing::info!(
                "the newest checkpoint is {newest}, in {location}: the same command goes on from it"
            );
        }
        match written {
            Ok(()) => tracing::info!("the report is in {location}/{REPORT_FILE}"),
            Err(error) => {
                tracing::error!("the report is lost: {error}");
                self.report_error = Some(error);
            }
        }
    }

    fn end(&mut self, exit_code: u8, reason: Option<String>) -> Result<u8, Error> {
        match (reason, self.report_error.take()) {
            (Some(reason), _) => Err(Error::JobFailed(reason)),
            (None, Some(error)) => Err(Error::Report(error)),
            (None, None) => Ok(exit_code),
        }
    }
}

async fn save(
    job: &str,
    epoch: u64,
    links: &[Arc<Link>],
    files: &dyn FileStore,
    config: impl FnOnce(&ModelSpec) -> serde_json::Result<Vec<u8>>,
) -> Event {
    match weights::read(job, epoch, links).await {
        Ok(model) => Event::Written(write(model, files, config)),
        Err(weights::Error::NoModel) => Event::NoModel,
        Err(error) => Event::Written(Err(error.to_string())),
    }
}

fn write(
    model: weights::Model,
    files: &dyn FileStore,
    config: impl FnOnce(&ModelSpec) -> serde_json::Result<Vec<u8>>,
) -> Result<ModelWritten, String> {
    let write = || {
        let bytes = to_safetensors(&model.spec.layout, &model.weights)
            .map_err(|error| format!("making {MODEL_FILE}: {error}"))?;
        let config =
            config(&model.spec).map_err(|error| format!("making {CONFIG_FILE}: {error}"))?;
        files.write(CONFIG_FILE, &config).map_err(|error| error.to_string())?;
        files.write(MODEL_FILE, &bytes).map_err(|error| error.to_string())?;
        Ok::<_, String>(model.digest())
    };
    let digest = blocking(write)?;
    Ok(ModelWritten { digest, servers: model.servers })
}

fn log(level: Level, line: &str) {
    match level {
        Level::Info => tracing::info!("{line}"),
        Level::Warn => tracing::warn!("{line}"),
        Level::Error => tracing::error!("{line}"),
    }
}
