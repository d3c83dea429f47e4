//! The columns of a table of which each process sees a part alone: all learn them together, before they register.

use super::address;
use super::on_thread::on_thread;
use crate::config::{Args, Role};
use crate::data::unknown_share;
use crate::model::Models;
use ps_core::schema::{Schema, TableSums};
use ps_data::{DataSource, StreamOpener, UnknownStream, schema_of_sums, table_sums};
use ps_runtime::Outside;
use ps_runtime::columns::{Asker, learn_together};
use ps_runtime::member::report_failure;
use std::path::Path;
use std::sync::Arc;

/// Streams, of which the first is open, and nothing of it known.
pub(super) type BegunStream = (StreamOpener, UnknownStream);

/// What was learnt.
#[derive(Default)]
pub(super) struct Learnt {
    /// The columns; `None` where the data are no table, or were known before.
    pub(super) schema: Option<Arc<Schema>>,
    /// The stream that was learnt from, if one was.
    pub(super) stream: Option<BegunStream>,
}

/// Counts what is here, and makes the schema of what all members counted.
///
/// # Errors
/// The data cannot be read, the master is lost, or nobody can say what the columns are: then the job has failed.
pub(super) async fn learn(
    models: &Models,
    args: &Args,
    outside: &Outside,
) -> anyhow::Result<Learnt> {
    // A worker without a master learns from nobody, and who is given the data has nothing to learn.
    let Some(master) = args.master.as_ref().filter(|_| args.shared_data.is_none()) else {
        return Ok(Learnt::default());
    };
    let (models, model) = (models.clone(), args.model.clone());
    let Some(source) = on_thread(move || unknown_share(&models, &model)).await? else {
        return Ok(Learnt::default());
    };
    let told = |error: anyhow::Error| tell(args, master, outside, error);
    let (own, stream) = match counted(args, source.clone()).await {
        Ok(counted) => counted,
        Err(error) => return Err(told(error.context(address(args))).await),
    };
    let asker = Asker {
        job: args.process.job_id.clone(),
        role: args.role.to_wire(),
        address: address(args),
        is_same: !args.model.read.sharded,
    };
    let sums = learn_together(outside, master, asker, own).await?;
    let Some(sums) = sums else { return Ok(Learnt { schema: None, stream }) };
    match on_thread(move || Ok(schema_of_sums(&sums, &source)?)).await {
        Ok(schema) => {
            let samples = schema.samples;
            tracing::info!("the columns are learnt from {samples} samples of all members together");
            Ok(Learnt { schema: Some(schema), stream })
        }
        // The others come to the same.
        Err(error) => Err(told(error).await),
    }
}

/// Tells the master why the job cannot go on: nobody is to wait for a share that does not come.
async fn tell(args: &Args, master: &str, outside: &Outside, error: anyhow::Error) -> anyhow::Error {
    let (job, reason) = (&args.process.job_id, format!("{error:#}"));
    if let Err(untold) = report_failure(outside, master, job, &reason, Vec::new()).await {
        tracing::debug!("the master could not be told why this process fails: {untold}");
    }
    error
}

/// What is counted in the files here, or in the beginning of the first stream.
async fn counted(
    args: &Args,
    source: DataSource,
) -> anyhow::Result<(Option<TableSums>, Option<BegunStream>)> {
    let (read, who) = (&args.model.read, address(args));
    if read.pipe && args.role == Role::Worker {
        let stem = args.model.data.as_deref().unwrap_or(Path::new(""));
        let mut streams = StreamOpener::new(read.stream(stem, None));
        let mut stream = streams.open_unknown(source.schema_samples, &who)?;
        let sums = stream.sums().await?;
        return Ok((sums, Some((streams, stream))));
    }
    let place = args.place.place().map_err(anyhow::Error::msg)?;
    let sums =
        on_thread(move || Ok(table_sums(&source, &who, (place.index, place.workers))?)).await?;
    Ok((sums, None))
}
