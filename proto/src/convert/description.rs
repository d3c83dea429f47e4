//! What training data a member has.

use super::Error;
use crate::v1;
use crate::v1::data_description::Kind;
use ps_core::limits::{
    ADDRESS_BYTES_MAX, CLASSES_MAX, DIMENSIONS_MAX, FEATURES_MAX, ID_COLUMN_NAME_BYTES_MAX,
    ID_COLUMNS_MAX, OBJECTIVE_BYTES_MAX, SAMPLES_MAX,
};
use ps_core::schema::IdColumn;
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
        check_shape(&wire.shape, wire.ids.len())?;
        let ids = wire.ids.into_iter().map(id_column).collect::<Result<_, Error>>()?;
        if wire.objective.len() > OBJECTIVE_BYTES_MAX {
            let found = format!("{} bytes", wire.objective.len());
            let expected = format!("at most {OBJECTIVE_BYTES_MAX} bytes");
            return Err(Error::invalid(NAME, "objective", found, expected));
        }
        Ok(Self {
            kind,
            samples: wire.samples,
            shape: wire.shape,
            ids,
            task,
            outputs: wire.outputs,
            objective: wire.objective,
            served_at: served_at(wire.served_at)?,
        })
    }
}

fn check_shape(shape: &[u64], id_columns: usize) -> Result<(), Error> {
    Error::check(NAME, "ids", id_columns as u64, 0..=ID_COLUMNS_MAX as u64)?;
    let inputs = shape.iter().try_fold(1_u64, |product, size| product.checked_mul(*size));
    // A sample is something: without numbers it has ids.
    let inputs_min = u64::from(id_columns == 0);
    let fits = inputs.is_some_and(|inputs| (inputs_min..=FEATURES_MAX).contains(&inputs));
    if shape.len() <= DIMENSIONS_MAX && fits {
        return Ok(());
    }
    let found = format!("{:?} ({} dimensions)", &shape[..shape.len().min(16)], shape.len());
    let expected =
        format!("at most {DIMENSIONS_MAX} dimensions and from 1 to {FEATURES_MAX} values");
    Err(Error::invalid(NAME, "shape", found, expected))
}

fn id_column(wire: v1::data_description::IdColumn) -> Result<IdColumn, Error> {
    Error::check(NAME, "vocabulary", wire.vocabulary, 1..=u32::MAX)?;
    if wire.name.len() > ID_COLUMN_NAME_BYTES_MAX {
        let found = format!("{} bytes", wire.name.len());
        let expected = format!("at most {ID_COLUMN_NAME_BYTES_MAX} bytes");
        return Err(Error::invalid(NAME, "name", found, expected));
    }
    Ok(IdColumn { name: wire.name, vocabulary: wire.vocabulary })
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
            ids: data.ids.into_iter().map(Into::into).collect(),
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

impl From<IdColumn> for v1::data_description::IdColumn {
    fn from(column: IdColumn) -> Self {
        Self { name: column.name, vocabulary: column.vocabulary }
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
            ids: vec![IdColumn { name: "city".into(), vocabulary: 300 }],
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

    fn id(vocabulary: u32, name: &str) -> v1::data_description::IdColumn {
        v1::data_description::IdColumn { name: name.to_owned(), vocabulary }
    }

    #[test]
    fn samples_may_have_ids_alone() {
        let ids_alone = DataDescription { shape: vec![0], ..described() };
        let wire = v1::DataDescription::from(ids_alone.clone());
        assert_eq!(DataDescription::try_from(wire).unwrap(), ids_alone);
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
            (v1::DataDescription { shape: vec![8, 0], ids: vec![], ..wire() }, "`shape`"),
            (v1::DataDescription { ids: vec![id(1, "c"); ID_COLUMNS_MAX + 1], ..wire() }, "`ids`"),
            (v1::DataDescription { ids: vec![id(0, "c")], ..wire() }, "`vocabulary`"),
            (v1::DataDescription { ids: vec![id(1, &"c".repeat(999))], ..wire() }, "`name`"),
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
