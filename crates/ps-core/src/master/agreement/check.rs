//! Whether a member's data go together with those of the others.

use crate::data_description::{DataDescription, DataKind};
use crate::master::leases::{Leases, source_of};
use crate::master::registry::Registry;
use crate::master::types::{DataMismatch, MemberId, Registration, Rejection, Role};
use crate::schema::IdColumn;
use crate::task::Task;

/// Checks the data of a process that wants to join: alone, beside those of every member, and beside
/// what the job has agreed on, if it has.
pub(in crate::master) fn check_data(
    registration: &Registration,
    registry: &Registry,
    agreed: Option<&DataDescription>,
) -> Result<(), Rejection> {
    let Registration { role, address, data, .. } = registration;
    if *role == Role::Server {
        return Ok(());
    }
    check_alone(registration)?;
    let asker = DataHolder::process(*role, address, data);
    for (id, process) in registry.live(Role::Worker).chain(registry.live(Role::Evaluator)) {
        let other = DataHolder::process(id.role, &process.address, &process.data);
        asker.check(&DataHolder { name: format!("{id} at {}", process.address), ..other })?;
    }
    if *role == Role::Worker && data.kind == DataKind::Replicated && data.samples == 0 {
        return Err(Rejection::NoSamples { asker: address.clone() });
    }
    match agreed {
        Some(agreed) => Ok(check_agreed(registration, &asker, agreed)?),
        None => Ok(()),
    }
}

/// Checks that a process's samples are the share of this place.
pub(in crate::master) fn check_share(
    member: MemberId,
    registration: &Registration,
    leases: &Leases,
) -> Result<(), DataMismatch> {
    let DataDescription { kind, samples: found, .. } = registration.data;
    let expected = source_of(member, kind).and_then(|source| leases.expects(source));
    match expected.filter(|expected| *expected != found) {
        Some(expected) if !kind.is_whole() => {
            let asker = format!("the process at {}", registration.address);
            Err(DataMismatch::Share { member, asker, found, expected })
        }
        _ => Ok(()),
    }
}

/// What is wrong with the data of a member alone.
fn check_alone(registration: &Registration) -> Result<(), DataMismatch> {
    let DataDescription { kind, samples, served_at, .. } = &registration.data;
    let is_share = registration.role == Role::Evaluator && *kind == DataKind::Sharded;
    if is_share && *samples > 0 && served_at.is_none() {
        let asker = registration.address.clone();
        return Err(DataMismatch::NotServed { asker, samples: *samples });
    }
    Ok(())
}

/// Whether the data of a member that comes later go together with what was agreed.
fn check_agreed(
    registration: &Registration,
    asker: &DataHolder<'_>,
    agreed: &DataDescription,
) -> Result<(), DataMismatch> {
    let Registration { role, address, data, .. } = registration;
    asker.check(&DataHolder { name: "the job".to_owned(), has_kind: true, data: agreed })?;
    if data.outputs > agreed.outputs && agreed.kind != DataKind::Program {
        let (found, expected) = (data.outputs, agreed.outputs);
        return Err(DataMismatch::Classes { asker: asker.name.clone(), found, expected });
    }
    let has_all = *role == Role::Worker && agreed.kind == DataKind::Replicated;
    if has_all && data.samples != agreed.samples {
        let (found, expected) = (data.samples, agreed.samples);
        return Err(DataMismatch::Samples { asker: address.clone(), found, expected });
    }
    Ok(())
}

/// The first few columns that are looked up.
fn ids(columns: &[IdColumn]) -> String {
    const NAMED_MAX: usize = 5;
    let named = columns.iter().take(NAMED_MAX);
    let named: Vec<String> = named.map(|it| format!("{} ({})", it.name, it.vocabulary)).collect();
    match (columns.len(), columns.len() > NAMED_MAX) {
        (0, _) => "no columns".to_owned(),
        (_, false) => named.join(", "),
        (count, true) => format!("{}, .. ({count} columns)", named.join(", ")),
    }
}

/// Somebody who has data, or the job.
struct DataHolder<'a> {
    name: String,
    /// Whether its kind matters: an evaluator without a share of the training data has any.
    has_kind: bool,
    data: &'a DataDescription,
}

impl<'a> DataHolder<'a> {
    fn process(role: Role, address: &str, data: &'a DataDescription) -> Self {
        let role_name = if role == Role::Evaluator { "the evaluator" } else { "the worker" };
        Self {
            name: format!("{role_name} at {address}"),
            has_kind: role == Role::Worker || data.kind == DataKind::Sharded && data.samples > 0,
            data,
        }
    }

    /// Whether the data of both go together.
    fn check(&self, other: &DataHolder<'_>) -> Result<(), DataMismatch> {
        let (asker, data, expected) = (self.name.clone(), self.data, other.data);
        if self.has_kind && other.has_kind && data.kind != expected.kind {
            let (found, expected) = (data.kind, expected.kind);
            return Err(DataMismatch::Kind { asker, found, other: other.name.clone(), expected });
        }
        let is_known = !data.shape.is_empty() && !expected.shape.is_empty();
        if is_known && data.shape != expected.shape {
            let (found, expected) = (data.shape.clone(), expected.shape.clone());
            return Err(DataMismatch::Shape { asker, found, other: other.name.clone(), expected });
        }
        if is_known && data.ids != expected.ids {
            let (found, expected) = (ids(&data.ids), ids(&expected.ids));
            return Err(DataMismatch::Ids { asker, found, other: other.name.clone(), expected });
        }
        self.check_task(other)
    }

    /// Whether models that tell what the labels of both are have the same task, and as many outputs unless those are classes,
    /// of which one may see more.
    fn check_task(&self, other: &DataHolder<'_>) -> Result<(), DataMismatch> {
        let (data, expected) = (self.data, other.data);
        let is_known = data.outputs > 0 && expected.outputs > 0;
        let is_same = data.task == expected.task
            && (data.task == Task::Classification || data.outputs == expected.outputs);
        if is_known && !is_same {
            let said = |data: &DataDescription| format!("{} ({})", data.task, data.outputs);
            let (asker, found, expected) = (self.name.clone(), said(data), said(expected));
            return Err(DataMismatch::Task { asker, found, other: other.name.clone(), expected });
        }
        let (found, wanted) = (&data.objective, &expected.objective);
        if !found.is_empty() && !wanted.is_empty() && found != wanted {
            let (asker, other) = (self.name.clone(), other.name.clone());
            let (found, expected) = (found.clone(), wanted.clone());
            return Err(DataMismatch::Objective { asker, found, other, expected });
        }
        Ok(())
    }
}
