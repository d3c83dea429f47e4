//! The data of a process, as its options name them.

use crate::config::ModelArgs;
use crate::model::{Models, initial_schema};
use ps_core::schema::Schema;
use ps_data::{DataSource, Dataset, Format, KnownSchema};
use std::path::PathBuf;
use std::sync::Arc;

/// What is known of the data before they are read.
pub(crate) enum Known {
    /// Nothing.
    Nothing,
    /// The columns of the table, which the members of the job have learnt together.
    Columns(Arc<Schema>),
    /// All of them: they are in shared memory at this path.
    Data(PathBuf),
}

/// The data that the options name: those of the program's own, or files.
///
/// # Errors
/// They cannot be had; the message says what to do.
pub(crate) fn read(
    models: &Models,
    args: &ModelArgs,
    initial: Option<&Schema>,
    known: Known,
) -> anyhow::Result<Dataset> {
    let learnt = match known {
        Known::Data(path) => return Ok(ps_data::open_shared(&path)?),
        Known::Columns(schema) => Some(schema),
        Known::Nothing => None,
    };
    if let Some(name) = &args.dataset.dataset {
        let (data, test) = (args.data.clone(), args.read.test.clone());
        let request = args.dataset.request(data, test).map_err(anyhow::Error::msg)?;
        return models.dataset(name, request).map_err(anyhow::Error::msg);
    }
    let mut source = data_source(models, args, initial)?;
    if let Some(schema) = learnt {
        source.schema = Some(KnownSchema::Learnt(schema));
    }
    Ok(ps_data::load(&source)?)
}

/// Files that are to be read, with what is known of them before.
fn data_source(
    models: &Models,
    args: &ModelArgs,
    initial: Option<&Schema>,
) -> anyhow::Result<DataSource> {
    let mut source = args.read.source(args.data.as_deref());
    source.table.embedding = models.embedding(&args.model);
    if let Some(path) = args.read.schema.clone() {
        let schema = Arc::new(ps_data::known_schema(&source)?);
        if let Some(option) = args.read.table.contradiction(&schema) {
            anyhow::bail!("--schema with {option}: the file says otherwise; leave out one of them");
        }
        source.schema = Some(KnownSchema::Read { path, schema });
    }
    let goes_on = |initial: &&Schema| {
        source.schema.is_none() && args.read.table.contradiction(initial).is_none()
    };
    if let Some(initial) = initial.filter(goes_on) {
        tracing::info!(
            "the columns of a table are what they were for the initial model; other options about columns, or --schema, say \
             otherwise"
        );
        source.schema = Some(KnownSchema::OfModel(Arc::new(initial.clone())));
    }
    source.classes_first = initial.map(|it| it.classes().to_vec()).unwrap_or_default();
    Ok(source)
}

/// The files of a process that sees a part of the samples alone, if it may be one of a table of which nothing is known.
///
/// # Errors
/// The initial model, or a schema that is given, cannot be read.
pub(crate) fn unknown_share(
    models: &Models,
    args: &ModelArgs,
) -> anyhow::Result<Option<DataSource>> {
    if args.dataset.dataset.is_some() || !(args.read.sharded || args.read.pipe) {
        return Ok(None);
    }
    let initial = args.initial_model.as_deref().map(initial_schema).transpose()?.flatten();
    let source = data_source(models, args, initial.as_ref())?;
    let is_table = matches!(source.format, Format::Auto | Format::Csv);
    Ok(Some(source).filter(|source| is_table && source.schema.is_none()))
}
