//! What data the members have together: one kind, one shape, one task, enough classes.

mod check;

pub(super) use check::{check_data, check_share};

use super::Machine;
use super::leases::{Leases, SHARED, SourceId, source_of};
use super::registry::Registry;
use super::types::{Config, Level, MemberId, Role};
use crate::checkpoint::cursor::{Cursor, Mismatch};
use crate::data_description::{DataDescription, DataKind};
use crate::settings::TrainingSettings;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What data the members have together, once those are there whose data matter.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct DataAgreement {
    agreed: Option<DataDescription>,
    /// When that was settled without everybody.
    settled_late: Option<Duration>,
    /// For which members it was last looked at.
    registry: Option<u64>,
    /// Where the job goes on, if it was stopped before.
    cursor: Option<Cursor>,
}

impl DataAgreement {
    pub(super) fn agreed(&self) -> Option<&DataDescription> {
        self.agreed.as_ref()
    }

    /// Whose samples the job trains on, once that is settled.
    pub(super) fn kind(&self) -> Option<DataKind> {
        self.agreed.as_ref().map(|agreed| agreed.kind)
    }

    /// When it was settled without everybody.
    pub(super) fn settled_late(&self) -> Option<Duration> {
        self.settled_late
    }

    /// The source that a member's samples are, if they are its own and the job trains on them.
    pub(super) fn source_of(&self, member: MemberId) -> Option<SourceId> {
        source_of(member, self.kind()?)
    }

    /// What these members have together, unless that is settled or was looked at before.
    fn propose(&mut self, registry: &Registry, is_late: bool) -> Option<DataDescription> {
        let generation = Some(registry.generation());
        if self.agreed.is_some() || (self.registry == generation && !is_late) {
            return None;
        }
        self.registry = generation;
        let (_, first) = registry.live(Role::Worker).next()?;
        Some(together(first.data.kind, registry))
    }

    /// Leases on the samples of these members, from where a checkpoint is.
    fn leases(
        &self,
        agreed: &DataDescription,
        registry: &Registry,
        config: &Config,
    ) -> Result<Leases, Mismatch> {
        let TrainingSettings { passes, batch_size, .. } = config.settings;
        let mut leases = Leases::new(agreed.kind, passes, batch_size, config.workers);
        if let Some(cursor) = &self.cursor {
            leases.resume(cursor)?;
        }
        if agreed.kind == DataKind::Replicated {
            leases.add(SHARED, agreed.samples)?;
        }
        for (member, data) in members_data(registry).filter(|(_, data)| data.kind == agreed.kind) {
            if let Some(source) = source_of(member, agreed.kind) {
                leases.add(source, data.samples)?;
            }
        }
        Ok(leases)
    }
}

impl Machine {
    /// What the members have together; before that is settled, nothing is known. Samples of a stream
    /// are counted while it is read.
    pub fn data(&self) -> DataDescription {
        let agreed = self.agreement.agreed().cloned().unwrap_or_default();
        DataDescription { samples: self.leases.samples(), ..agreed }
    }

    /// Settles what the members have together, once everybody is there whose data matter;
    /// `is_late`: without those who are missing.
    pub(super) fn agree(&mut self, is_late: bool, now: Duration) -> bool {
        let Some(agreed) = self.agreement.propose(&self.registry, is_late) else {
            return false;
        };
        if let Some(reason) = self.cannot_select(agreed.kind, is_late) {
            self.fail(reason, now);
            return true;
        }
        let learnt_with = self.columns.had_evaluator();
        let mut absent = absent(&agreed, &self.registry, self.config.workers, learnt_with);
        let needs_keeper =
            self.config.settings.evaluation.keeps_best() && agreed.kind != DataKind::Program;
        if needs_keeper && self.keeper().is_none() {
            absent.push(MemberId::EVALUATOR.to_string());
        }
        if !absent.is_empty() {
            if !is_late {
                return false;
            }
            let (names, waited) = (absent.join(", "), self.config.start_timeout);
            let line = format!("going on without {names}, who did not come within {waited:.0?}");
            self.log(Level::Warn, line);
        }
        if agreed.kind == DataKind::Sharded && agreed.samples == 0 {
            let reason = "no member has training samples: check the --data of each".to_owned();
            self.fail(reason, now);
            return true;
        }
        self.take_passes(&agreed);
        match self.agreement.leases(&agreed, &self.registry, &self.config) {
            Ok(leases) => {
                let batch = self.config.settings.batch_size.max(1);
                self.record.watch(agreed.samples.div_ceil(batch));
                self.leases = leases;
                self.agreement.agreed = Some(agreed);
                self.agreement.settled_late = is_late.then_some(now);
                self.take_up(now);
            }
            Err(mismatch) => self.fail(mismatch.to_string(), now),
        }
        true
    }

    /// Takes more passes where samples are so few that those asked for are hardly a step.
    fn take_passes(&mut self, agreed: &DataDescription) {
        let settings = &mut self.config.settings;
        let passes = settings.passes_over(agreed.samples);
        if agreed.kind.is_whole() || passes == settings.passes {
            return;
        }
        settings.passes = passes;
        let (samples, steps) = (agreed.samples, settings.steps_min);
        let line = format!(
            "{samples} samples: {passes} passes, for at least {steps} steps; --passes decides otherwise"
        );
        self.log(Level::Info, line);
    }

    /// Goes on where a checkpoint is, before the first lease. Data that come later are compared
    /// with it when they come.
    ///
    /// # Errors
    /// The data that are known already are not those of the checkpoint.
    pub(super) fn resume(&mut self, cursor: Cursor) -> Result<(), Mismatch> {
        if self.agreement.agreed.is_some() {
            self.leases.resume(&cursor)?;
        }
        self.agreement.cursor = Some(cursor);
        Ok(())
    }

    /// How far the job is in its data; `None` as long as nobody said what data there are.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.agreement.agreed().map(|_| self.leases.cursor())
    }

    /// A member with data has taken its place: its samples can be worked on (again).
    pub(super) fn add_source(&mut self, member: MemberId, data: &DataDescription, now: Duration) {
        // An evaluator without a share has any kind.
        let is_of_job = self.agreement.kind() == Some(data.kind);
        let Some(source) = source_of(member, data.kind).filter(|_| is_of_job) else {
            return;
        };
        match self.leases.add(source, data.samples) {
            Ok(()) => self.leases.revive(source),
            Err(mismatch) => self.fail(mismatch.to_string(), now),
        }
    }
}

fn members_data(registry: &Registry) -> impl Iterator<Item = (MemberId, &DataDescription)> {
    let all = registry.live(Role::Worker).chain(registry.live(Role::Evaluator));
    all.map(|(member, process)| (member, &process.data))
}

/// Who is not there, and has something to say of the data that nobody else has. Where the columns were learnt together, the
/// evaluator that was there comes in a moment, and one that was not has been waited for.
fn absent(
    agreed: &DataDescription,
    registry: &Registry,
    workers: u32,
    learnt_with_evaluator: Option<bool>,
) -> Vec<String> {
    let is_absent =
        |member: &MemberId| registry.process(*member).is_none_or(|process| process.has_left);
    let has_own = agreed.kind != DataKind::Replicated;
    let needs_evaluator = match (agreed.kind, learnt_with_evaluator) {
        (DataKind::Sharded | DataKind::Streamed, Some(it)) => it,
        (kind, _) => needs_evaluator(kind, agreed.outputs),
    };
    let workers = (0..workers).filter(|_| has_own).map(MemberId::worker);
    let needed = workers.chain(needs_evaluator.then_some(MemberId::EVALUATOR));
    needed.filter(is_absent).map(|member| member.to_string()).collect()
}

fn needs_evaluator(kind: DataKind, outputs: u32) -> bool {
    match kind {
        DataKind::Sharded => true,
        // A stream does not tell how many classes there are; test data do.
        DataKind::Streamed => outputs == 0,
        DataKind::Replicated | DataKind::Program => false,
    }
}

/// What the members have together.
fn together(kind: DataKind, registry: &Registry) -> DataDescription {
    let mut all = DataDescription { kind, ..DataDescription::default() };
    for (member, data) in members_data(registry) {
        if all.shape.is_empty() {
            all.shape.clone_from(&data.shape);
            all.ids.clone_from(&data.ids);
        }
        if all.outputs == 0 {
            all.task = data.task;
        }
        if all.objective.is_empty() {
            all.objective.clone_from(&data.objective);
        }
        all.outputs = all.outputs.max(data.outputs);
        match source_of(member, kind) {
            Some(_) if member.role == Role::Evaluator && data.kind != kind => (),
            Some(_) => all.samples = all.samples.saturating_add(data.samples),
            None if member.role == Role::Worker => all.samples = all.samples.max(data.samples),
            None => (),
        }
    }
    all
}
