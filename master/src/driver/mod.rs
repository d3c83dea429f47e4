//! The one task that owns the machine: passes calls in, does what comes out.
//!
//! - `answers`: what members are told, once it is written down.
//! - `event`: what tasks beside the driver have to say.
//! - `membership`: tells every shard who the workers are.
//! - `model`: writes the model.
//! - `restore`: has shards go on from a checkpoint.

mod answers;
mod event;
mod membership;
mod model;
mod restore;
#[cfg(test)]
mod tests;

use crate::checkpoints::Catalog;
use crate::config::Config;
use crate::error::Error;
use crate::files::MasterFiles;
use crate::kept;
use crate::reporter::Reporter;
use crate::service::Call;
use crate::state::{self, StateFile};
use answers::Answers;
use event::{Event, event};
use membership::MembershipBroadcaster;
use ps_core::DataDescription;
use ps_core::ids::{LIFE_DISTANCE, Life};
use ps_core::limits::CONTROL_CALLS_MAX;
use ps_core::master::{Action, CheckpointRequest, Level, Machine, SavedJob};
use ps_core::model_config::About;
use ps_core::model_file::MODEL_FILE;
use ps_core::report::Report;
use ps_core::settings::TrainingSettings;
use ps_runtime::files::Files;
use ps_runtime::{Outside, Shutdown, Signal, blocking};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// The report's file.
pub const REPORT_FILE: &str = "report.json";

/// How often time passes for the machine: a fraction of the lease, within reason.
const TICKS_PER_LEASE: u32 = 20;
const TICK_SHORTEST: Duration = Duration::from_millis(20);
const TICK_LONGEST: Duration = Duration::from_millis(250);

/// Calls that are answered together, where so many have come: time must not wait for a flood of them.
const CALLS_AT_ONCE: usize = 64;

/// The machine with everything around it.
pub(crate) struct Driver {
    about: About,
    lease: Duration,
    machine: Machine,
    outside: Outside,
    shutdown: Shutdown,
    files: Files,
    catalog: Option<Arc<Catalog>>,
    settings: TrainingSettings,
    membership: MembershipBroadcaster,
    events: mpsc::Receiver<Event>,
    sender: mpsc::Sender<Event>,
    reporter: Reporter,
    saving: JoinSet<()>,
    restoring: JoinSet<()>,
    report_error: Option<std::io::Error>,
    answers: Answers,
}

/// What a driver works with beside its options.
pub(crate) struct Place {
    pub(crate) files: MasterFiles,
    /// What a master that died has left.
    pub(crate) found: Option<SavedJob>,
}

impl Driver {
    /// A driver of a job that begins, or goes on from what the folder for checkpoints holds, or from what a master that
    /// died has left.
    pub(crate) fn new(
        config: Config,
        outside: &Outside,
        shutdown: Shutdown,
        Place { files, found }: Place,
    ) -> Result<Self, Error> {
        let MasterFiles { results: files, checkpoints, state } = files;
        let given = config.machine.clone();
        let state =
            state.map(|files| StateFile::new(files, &config.job, given, outside.clock.clone()));
        let (sender, events) = mpsc::channel(CONTROL_CALLS_MAX);
        let membership = MembershipBroadcaster::new(&config, outside, sender.clone());
        let (lease, settings) = (config.machine.lease, config.machine.settings.clone());
        let catalog = checkpoints.map(|files| blocking(|| Catalog::read(files)));
        let catalog = catalog.transpose().map_err(Error::Checkpoints)?.map(Arc::new);
        let saved = catalog.as_deref().map_or(0, Catalog::highest);
        // Not the time alone: this machine's clock may be behind that of an earlier master's.
        let life = outside.clock.unix_ms().max(saved.saturating_add(LIFE_DISTANCE));
        let mut machine = Machine::new(config.machine, life, outside.clock.now());
        if let Some(catalog) = &catalog {
            machine.start_after(catalog.history());
        }
        if let Some(saved) = found {
            let away = state::away(&saved, &outside.clock);
            machine = saved.machine;
            let is_whole = |number| catalog.as_deref().is_some_and(|it| it.has(number));
            machine.come_back(is_whole, away, outside.clock.now());
        }
        Ok(Self {
            lease,
            machine,
            settings,
            catalog,
            outside: outside.clone(),
            shutdown,
            files,
            membership,
            about: config.about,
            events,
            sender,
            reporter: Reporter::new(config.display, outside.metrics.clone()),
            saving: JoinSet::new(),
            restoring: JoinSet::new(),
            report_error: None,
            answers: Answers::new(state, config.leaves_state),
        })
    }

    /// Writes the state down, where one is kept, before anybody has called.
    pub(crate) fn write_state(&mut self) {
        self.answers.say(&mut self.machine);
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
                    let now = self.outside.clock.now();
                    match signal {
                        Signal::ParentGone => self.machine.parent_gone(now),
                        signal => self.machine.signal(signal.exit_code(), now),
                    }
                }
                _ = ticks.tick() => self.tick(&mut calls),
                Some(event) = self.events.recv() => {
                    if event.lasts {
                        self.answers.changed();
                    }
                    event.tell(&mut self.machine, self.outside.clock.now());
                }
                Some(call) = calls.recv() => self.answer(call, &mut calls),
            }
            if let Some(end) = self.act() {
                self.answers.end(&self.machine);
                self.reporter.finish();
                return end;
            }
        }
    }

    /// Answers a call, and those that have come meanwhile: what they change is written down at once.
    fn answer(&mut self, call: Call, calls: &mut mpsc::Receiver<Call>) {
        self.answers.take(call, &mut self.machine);
        for _ in 1..CALLS_AT_ONCE {
            let Ok(call) = calls.try_recv() else { return };
            self.answers.take(call, &mut self.machine);
        }
    }

    /// Time passes up to now. What was called for before is answered first: whoever waits for a
    /// loaded master is not silent.
    fn tick(&mut self, calls: &mut mpsc::Receiver<Call>) {
        let now = self.outside.clock.now();
        for _ in 0..calls.len() {
            if let Ok(call) = calls.try_recv() {
                self.answers.take(call, &mut self.machine);
            }
        }
        self.machine.tick(now);
        let machine = &self.machine;
        self.reporter.show(now, || machine.snapshot());
    }

    /// Does what the machine wants, once it is written down that it does; the end, when there is one.
    fn act(&mut self) -> Option<Result<u8, Error>> {
        loop {
            let actions = self.machine.take_actions();
            if !actions.is_empty() {
                self.answers.changed();
            }
            self.answers.say(&mut self.machine);
            if actions.is_empty() {
                return None;
            }
            for action in actions {
                let end = self.act_once(action);
                if end.is_some() {
                    return end;
                }
            }
        }
    }

    fn act_once(&mut self, action: Action) -> Option<Result<u8, Error>> {
        match action {
            Action::SetMembership(membership) => {
                if let Err(error) = self.membership.send(membership) {
                    let now = self.outside.clock.now();
                    self.machine.others_failed(format!("a server's {error}"), now);
                }
            }
            Action::SaveModel { within, if_trained, kept } => {
                self.save_model(within, if_trained, kept.map(|kept| kept.job));
            }
            Action::FindKept(job) => {
                let folder = self.catalog.as_deref().map_or(self.files.as_ref(), Catalog::files);
                let found = blocking(|| kept::find(folder, job));
                self.machine.kept_found(found, self.outside.clock.now());
                self.answers.changed();
            }
            Action::WriteCheckpoint(request) => self.write_checkpoint(*request),
            Action::Restore(shard_map, life) => self.restore(shard_map.epoch, life),
            Action::RestoreShard(restore) => self.restore_part(restore),
            Action::WriteReport(report) => self.write_report(&report),
            Action::Metric(line) => (self.outside.metrics)(&line),
            Action::Log(level, line) => log(level, &line),
            Action::Finished { exit_code, reason } => return Some(self.end(exit_code, reason)),
        }
        None
    }

    fn save_model(&mut self, within: Option<Duration>, if_trained: bool, kept: Option<Life>) {
        let (cluster, files) = (self.membership.cluster(), self.files.clone());
        let (about, data) = self.known();
        let settings = self.machine.settings().clone();
        let what = model::What { about, data, settings, within, if_trained, kept };
        let catalog = self.catalog.clone();
        let save = async move {
            let kept = catalog.as_deref().map(Catalog::files);
            model::save(&cluster, files.as_ref(), kept, what).await
        };
        spawn(&mut self.saving, &self.sender, save);
    }

    /// What the master was told of the model, and of its data.
    fn known(&self) -> (About, DataDescription) {
        (self.about.clone().or(self.machine.about()), self.machine.data())
    }

    fn write_checkpoint(&mut self, request: CheckpointRequest) {
        let Some(catalog) = self.catalog.clone() else {
            return;
        };
        let (cluster, number, known) = (self.membership.cluster(), request.number, self.known());
        spawn(&mut self.saving, &self.sender, async move {
            let written = cluster.write_checkpoint(request, known, catalog.files()).await;
            event(move |machine, now| machine.checkpoint_written(number, written, now))
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
        if let (Some(catalog), Some(newest)) = (&self.catalog, report.checkpoint) {
            let location = catalog.files().location();
            tracing::info!(
                "the newest checkpoint is {newest}, in {location}: the same command goes on from it"
            );
        }
        if self.machine.goes_on_later() && self.answers.have_lasting_state() {
            tracing::info!("the journals are kept: the same command goes on from there");
        } else if self.machine.is_cut_short()
            && self.catalog.is_none()
            && report.timings.saving > 0.0
        {
            tracing::info!(
                "there are no checkpoints to go on from (--checkpoints DIR): the same command begins anew, and with \
                 `--initial-model {location}` from these weights"
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

/// Does something beside the driver, which goes on answering.
fn spawn(
    tasks: &mut JoinSet<()>,
    sender: &mpsc::Sender<Event>,
    work: impl Future<Output = Event> + Send + 'static,
) {
    // Those that ended are let go, or there would be one more with every checkpoint.
    while tasks.try_join_next().is_some() {}
    let sender = sender.clone();
    tasks.spawn(async move {
        let _ = sender.send(work.await).await;
    });
}

fn log(level: Level, line: &str) {
    match level {
        Level::Info => tracing::info!("{line}"),
        Level::Warn => tracing::warn!("{line}"),
        Level::Error => tracing::error!("{line}"),
    }
}
