//! What training data a member has.

use super::Error;
use crate::v1;
use crate::v1::data_description::Kind;
use ps_core::limits::{
    ADDRESS_BYTES_MAX, CLASSES_MAX, DIMENSIONS_MAX, FEATURES_MAX, OBJECTIVE_BYTES_MAX, SAMPLES_MAX,
};
use ps_core::{DataDescription, DataKind, Task};

const NAME: &str = "DataDescription";

impl TryFrom<v1::DataDescription> for DataDescription {
    type Error = Error;

    fn try_from(wire: v1::DataDescription) -> Result<Self, Error> {
        let kind = match wire.kind() {
            Kind::Replicated => DataKind::Replicated,
            Kind::Sharded => DataKind::Sharded,
            Kind::Streamed => DataKind::Streamed,
            Kind::Program => DataKind::Program,
            Kind::Unspecified => return Err(Error::Missing { message: NAME, field: "kind" }),
        };
        Error::check(NAME, "samples", wire.samples, 0..=SAMPLES_MAX)?;
        Error::check(NAME, "outputs", wire.outputs, 0..=CLASSES_MAX)?;
        let task = match wire.task() {
            v1::data_description::Task::Classification => Task::Classification,
            v1::data_description::Task::Regression => Task::Regression,
            v1::data_description::Task::MultiLabel => Task::MultiLabel,
        };
        check_shape(&wire.shape)?;
        if wire.objective.len() > OBJECTIVE_BYTES_MAX {
            let found = format!("{} bytes", wire.objective.len());
            let expected = format!("at most {OBJECTIVE_BYTES_MAX} bytes");
            return Err(Error::invalid(NAME, "objective", found, expected));
        }
        Ok(Self {
            kind,
            samples: wire.samples,
            shape: wire.shape,
            task,
            outputs: wire.outputs,
            objective: wire.objective,
            served_at: served_at(wire.served_at)?,
        })
    }
}

fn check_shape(shape: &[u64]) -> Result<(), Error> {
    let inputs = shape.iter().try_fold(1_u64, |product, size| product.checked_mul(*size));
    let fits = inputs.is_some_and(|inputs| (1..=FEATURES_MAX).contains(&inputs));
    if shape.len() <= DIMENSIONS_MAX && fits {
        return Ok(());
    }
    let found = format!("{:?} ({} dimensions)", &shape[..shape.len().min(16)], shape.len());
    let expected =
        format!("at most {DIMENSIONS_MAX} dimensions and from 1 to {FEATURES_MAX} values");
    Err(Error::invalid(NAME, "shape", found, expected))
}

fn served_at(address: String) -> Result<Option<String>, Error> {
    if address.is_empty() {
        return Ok(None);
    }
    let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if address.len() > ADDRESS_BYTES_MAX || !matches!(port, Some(Ok(_))) {
        let found: String = address.chars().take(64).collect();
        let expected = "HOST:PORT, where workers reach the member";
        return Err(Error::invalid(NAME, "served_at", format!("`{found}`"), expected));
    }
    Ok(Some(address))
}

impl From<DataDescription> for v1::DataDescription {
    fn from(data: DataDescription) -> Self {
        let kind = match data.kind {
            DataKind::Replicated => Kind::Replicated,
            DataKind::Sharded => Kind::Sharded,
            DataKind::Streamed => Kind::Streamed,
            DataKind::Program => Kind::Program,
        };
        Self {
            kind: kind.into(),
            samples: data.samples,
            shape: data.shape,
            task: match data.task {
                Task::Classification => v1::data_description::Task::Classification,
                Task::Regression => v1::data_description::Task::Regression,
                Task::MultiLabel => v1::data_description::Task::MultiLabel,
            }
            .into(),
            outputs: data.outputs,
            objective: data.objective,
            served_at: data.served_at.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described() -> DataDescription {
        DataDescription {
            kind: DataKind::Sharded,
            samples: 7,
            shape: vec![8, 8],
            task: Task::MultiLabel,
            outputs: 10,
            objective: "multi-label of label a,b".into(),
            served_at: Some("host:2224".into()),
        }
    }

    #[test]
    fn a_description_survives_the_wire() {
        let wire = v1::DataDescription::from(described());
        assert_eq!(DataDescription::try_from(wire).unwrap(), described());
        let program = DataDescription { kind: DataKind::Program, ..DataDescription::default() };
        let wire = v1::DataDescription::from(program.clone());
        assert_eq!(DataDescription::try_from(wire).unwrap(), program);
    }

    #[test]
    fn what_cannot_be_is_named() {
        let wire = || v1::DataDescription::from(described());
        let cases = [
            (v1::DataDescription { kind: 0, ..wire() }, "`kind`"),
            (v1::DataDescription { samples: SAMPLES_MAX + 1, ..wire() }, "`samples`"),
            (v1::DataDescription { outputs: CLASSES_MAX + 1, ..wire() }, "`outputs`"),
            (v1::DataDescription { shape: vec![1; DIMENSIONS_MAX + 1], ..wire() }, "`shape`"),
            (v1::DataDescription { shape: vec![u64::MAX, 2], ..wire() }, "`shape`"),
            (v1::DataDescription { shape: vec![8, 0], ..wire() }, "`shape`"),
            (v1::DataDescription { shape: vec![FEATURES_MAX + 1], ..wire() }, "`shape`"),
            (v1::DataDescription { objective: "o".repeat(9999), ..wire() }, "`objective`"),
            (v1::DataDescription { served_at: "host".into(), ..wire() }, "HOST:PORT"),
            (v1::DataDescription { served_at: "h".repeat(999) + ":1", ..wire() }, "HOST:PORT"),
        ];
        for (wire, part) in cases {
            let error = DataDescription::try_from(wire).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
