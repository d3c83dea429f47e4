//! What data the members have together: one kind, one shape, enough classes.

use super::leases::{SHARED, SourceId, own};
use super::other_data::OtherData;
use super::types::{Level, Refusal, Registration, Role, Seat};
use super::{Machine, Watch};
use crate::data_description::{DataDescription, DataKind};
use std::time::Duration;

const EVALUATOR: Seat = Seat { role: Role::Evaluator, index: 0 };

impl Machine {
    /// Whether a member's data go together with those of the others.
    pub(super) fn check_data(&self, registration: &Registration) -> Result<(), Refusal> {
        let Registration { role, address, data, .. } = registration;
        if *role == Role::Server {
            return Ok(());
        }
        check_alone(registration)?;
        let asker = Party::new(*role, address, data);
        for others in [Role::Worker, Role::Evaluator] {
            for (seat, process) in self.places.live(others) {
                let other = Party::new(others, &process.address, &process.data);
                asker.check(&Party { name: format!("{seat} at {}", process.address), ..other })?;
            }
        }
        if *role == Role::Worker && data.kind == DataKind::Replicated && data.samples == 0 {
            return Err(Refusal::NoSamples { asker: address.clone() });
        }
        match &self.agreed {
            Some(agreed) => Ok(check_agreed(registration, &asker, agreed)?),
            None => Ok(()),
        }
    }

    /// Whether these samples are the share of this place.
    pub(super) fn check_share(
        &self,
        seat: Seat,
        registration: &Registration,
    ) -> Result<(), OtherData> {
        let DataDescription { kind, samples, .. } = registration.data;
        let share = source_of(seat, kind).zip(self.leases.as_ref());
        let expected = share.and_then(|(source, leases)| leases.expects(source));
        match expected.filter(|expected| *expected != samples) {
            Some(expected) if !kind.is_whole() => Err(OtherData::Share {
                seat,
                asker: format!("the process at {}", registration.address),
                found: samples,
                expected,
            }),
            _ => Ok(()),
        }
    }

    /// Settles what the members have together, once everybody is there whose data matter;
    /// `is_late`: without those who are missing.
    pub(super) fn agree(&mut self, is_late: bool, now: Duration) -> bool {
        let first = self.places.live(Role::Worker).next();
        let Some(kind) = first.map(|(_, process)| process.data.kind) else {
            return false;
        };
        let mut absent = self.absent(kind);
        let agreed = together(kind, self.members_data());
        if kind == DataKind::Streamed && agreed.classes == 0 && !self.has_evaluator() {
            // A stream does not tell how many classes there are; test data do.
            absent.push(EVALUATOR.to_string());
        }
        if self.agreed.is_some() || (!absent.is_empty() && !is_late) {
            return false;
        }
        if !absent.is_empty() {
            let (names, waited) = (absent.join(", "), self.config.start_timeout);
            let line = format!("going on without {names}, who did not come within {waited:.0?}");
            self.log(Level::Warn, line);
        }
        let mut sources: Vec<(SourceId, u64)> = match kind {
            DataKind::Replicated => vec![(SHARED, agreed.samples)],
            _ => Vec::new(),
        };
        let own = self.members_data().filter(|(_, data)| data.kind == kind);
        sources.extend(own.filter_map(|(seat, data)| Some((source_of(seat, kind)?, data.samples))));
        if kind == DataKind::Sharded && agreed.samples == 0 {
            let reason = "no member has training samples: check the --data of each".to_owned();
            self.fail(reason, now);
            return true;
        }
        match self.new_leases(kind, &sources) {
            Ok(leases) => {
                let batch = self.config.settings.batch_size.max(1);
                self.watch = Watch::new(agreed.samples.div_ceil(batch));
                self.leases = Some(leases);
                self.agreed = Some(agreed);
                self.agreed_late = is_late.then_some(now);
                self.take_up();
            }
            Err(mismatch) => self.fail(mismatch.to_string(), now),
        }
        true
    }

    fn members_data(&self) -> impl Iterator<Item = (Seat, &DataDescription)> {
        let workers = self.places.live(Role::Worker);
        let all = workers.chain(self.places.live(Role::Evaluator));
        all.map(|(seat, process)| (seat, &process.data))
    }

    fn has_evaluator(&self) -> bool {
        self.places.live(Role::Evaluator).next().is_some()
    }

    /// Who is not there, and has data that nobody else has.
    pub(super) fn absent(&self, kind: DataKind) -> Vec<String> {
        let seat = |role, index| Seat { role, index };
        let workers = (0..self.config.workers).map(|rank| seat(Role::Worker, rank));
        let evaluator = (kind == DataKind::Sharded).then_some(EVALUATOR);
        let is_there =
            |seat: &Seat| self.places.process(*seat).is_some_and(|process| !process.has_left);
        let needed = workers.filter(|_| kind != DataKind::Replicated).chain(evaluator);
        needed.filter(|seat| !is_there(seat)).map(|seat| seat.to_string()).collect()
    }
}

/// Whether the data of a member that comes later go together with what was agreed.
fn check_agreed(
    registration: &Registration,
    asker: &Party<'_>,
    agreed: &DataDescription,
) -> Result<(), OtherData> {
    let Registration { role, address, data, .. } = registration;
    asker.check(&Party { name: "the job".to_owned(), has_kind: true, data: agreed })?;
    if data.classes > agreed.classes && agreed.kind != DataKind::Program {
        let (found, expected) = (data.classes, agreed.classes);
        return Err(OtherData::Classes { asker: asker.name.clone(), found, expected });
    }
    let has_all = *role == Role::Worker && agreed.kind == DataKind::Replicated;
    if has_all && data.samples != agreed.samples {
        let (found, expected) = (data.samples, agreed.samples);
        return Err(OtherData::Samples { asker: address.clone(), found, expected });
    }
    Ok(())
}

/// The source that a member's samples are, if they are its own.
pub(super) fn source_of(seat: Seat, kind: DataKind) -> Option<SourceId> {
    match (seat.role, kind) {
        (Role::Worker, DataKind::Replicated) => None,
        (Role::Worker, _) => Some(own(seat.index)),
        (Role::Evaluator, DataKind::Sharded) => Some(SHARED),
        (Role::Evaluator | Role::Server, _) => None,
    }
}

/// Who has the samples of a source that not everybody has.
pub(super) fn holder(source: SourceId) -> Seat {
    match source.checked_sub(1) {
        None => Seat { role: Role::Evaluator, index: 0 },
        Some(index) => Seat { role: Role::Worker, index },
    }
}

/// What is wrong with the data of a member alone.
fn check_alone(registration: &Registration) -> Result<(), OtherData> {
    let DataDescription { kind, samples, served_at, .. } = &registration.data;
    let is_share = registration.role == Role::Evaluator && *kind == DataKind::Sharded;
    if is_share && *samples > 0 && served_at.is_none() {
        let asker = registration.address.clone();
        return Err(OtherData::NotServed { asker, samples: *samples });
    }
    Ok(())
}

/// Somebody who has data, or the job.
struct Party<'a> {
    name: String,
    /// Whether its kind matters: an evaluator without a share of the training data has any.
    has_kind: bool,
    data: &'a DataDescription,
}

impl<'a> Party<'a> {
    fn new(role: Role, address: &str, data: &'a DataDescription) -> Self {
        let role_name = if role == Role::Evaluator { "the evaluator" } else { "the worker" };
        Self {
            name: format!("{role_name} at {address}"),
            has_kind: role == Role::Worker || data.kind == DataKind::Sharded && data.samples > 0,
            data,
        }
    }

    /// Whether the data of both go together.
    fn check(&self, other: &Party<'_>) -> Result<(), OtherData> {
        let names = || (self.name.clone(), other.name.clone());
        let (found, expected) = (self.data.kind, other.data.kind);
        if self.has_kind && other.has_kind && found != expected {
            let (asker, other) = names();
            return Err(OtherData::Kind { asker, found, other, expected });
        }
        let (found, expected) = (&self.data.shape, &other.data.shape);
        if !found.is_empty() && !expected.is_empty() && found != expected {
            let (asker, other) = names();
            let (found, expected) = (found.clone(), expected.clone());
            return Err(OtherData::Shape { asker, found, other, expected });
        }
        Ok(())
    }
}

/// What these members have together.
fn together<'a>(
    kind: DataKind,
    members: impl Iterator<Item = (Seat, &'a DataDescription)>,
) -> DataDescription {
    let mut all = DataDescription { kind, ..DataDescription::default() };
    for (seat, data) in members {
        if all.shape.is_empty() {
            all.shape.clone_from(&data.shape);
        }
        all.classes = all.classes.max(data.classes);
        match source_of(seat, kind) {
            Some(_) if seat.role == Role::Evaluator && data.kind != kind => (),
            Some(_) => all.samples = all.samples.saturating_add(data.samples),
            None if seat.role == Role::Worker => all.samples = all.samples.max(data.samples),
            None => (),
        }
    }
    all
}
