//! Data and model, before anybody is told that this process can work.

use super::learning::{self, Learnt};
use super::on_thread::on_thread;
use super::{address, workload};
use crate::compute::Compute;
use crate::config::{Args, ModelArgs, Role};
use crate::data::Known;
use crate::model::Models;
use crate::model_source::ModelSource;
use crate::train::{DataLoader, Workload};
use ps_core::DataKind;
use ps_runtime::Outside;
use ps_runtime::member::report_loading;
use std::time::Duration;

/// Who reads a FIFO has the same time, and knows better what is missing: it speaks first.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What a process has that can work.
pub(super) struct Prepared {
    /// What it says of itself.
    pub(super) ready: String,
    pub(super) part: Part,
}

/// Files beside the weights, by name.
pub(super) type ModelFiles = Vec<(&'static str, Vec<u8>)>;

/// What it does with it.
pub(super) enum Part {
    /// It is a member of the job of this master.
    Member(String, Box<Workload>),
    /// It trains by itself: a model, its batches, and what is written beside its weights, by name.
    Alone(Box<dyn Compute>, DataLoader, ModelFiles),
}

/// Prepares within the time that data may take; the master hears meanwhile that somebody is coming.
///
/// # Errors
/// Data, device or model cannot be had, or not in time.
pub(super) async fn with_deadline(
    models: &Models,
    args: &Args,
    outside: &Outside,
) -> anyhow::Result<Prepared> {
    let (limit, caller) = (args.model.read.load_timeout(), address(args));
    let telling = async {
        match &args.master {
            Some(master) => {
                report_loading(outside, master, &args.process.job_id, args.role.to_wire(), &caller)
                    .await
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        prepared = tokio::time::timeout(limit + LAST_WORD, prepare(models, args, outside)) => {
            prepared.unwrap_or_else(|_| Err(late(&args.model)))
        }
        never = telling => match never {},
    }
}

/// The data did not come in time.
pub(super) fn late(args: &ModelArgs) -> anyhow::Error {
    let data = args.data.as_deref().map(|data| format!("at {} ", data.display()));
    anyhow::anyhow!(
        "the data {}were not read within {} s; look whether they still come, and give them more time \
         with --load-timeout-s",
        data.unwrap_or_default(),
        args.read.load_timeout_s
    )
}

async fn prepare(models: &Models, args: &Args, outside: &Outside) -> anyhow::Result<Prepared> {
    let Learnt { schema, stream } = learning::learn(models, args, outside).await?;
    let (models, model) = (models.clone(), args.model.clone());
    let place = args.place.place().map_err(anyhow::Error::msg)?;
    let known = match (args.shared_data.clone(), schema) {
        (Some(path), _) => Known::Data(path),
        (None, Some(schema)) => Known::Columns(schema),
        (None, None) => Known::Nothing,
    };
    let mut source = on_thread(move || ModelSource::new(&models, &model, place, known)).await?;
    // psrun says it aloud: each process has the same.
    // What is strange about a part need not be so in the whole.
    if !args.model.read.sharded {
        source.data().warnings().iter().for_each(|warning| tracing::info!("warning: {warning}"));
    }
    if let Some(path) = &args.write_schema {
        source.write_schema(path)?;
    }
    let streams = workload::streams(args, &mut source, stream).await?;
    let role = if args.role == Role::Worker { "worker" } else { "evaluator" };
    let ready = format!("role={role}; train_samples={};", source.data().train.len());
    let part = match args.master.clone() {
        Some(master) => {
            Part::Member(master, Box::new(workload::model(args, source, streams, outside).await?))
        }
        None => {
            let (source, model) = on_thread(move || {
                let model = source.model()?;
                Ok((source, model))
            })
            .await?;
            let data = source.description(DataKind::Replicated);
            let files = source.about().files(model.layout(), &data)?;
            Part::Alone(Box::new(model), source.loader(), files)
        }
    };
    Ok(Prepared { ready, part })
}
