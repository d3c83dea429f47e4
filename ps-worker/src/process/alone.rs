//! A worker without a master, as the options describe it.

use super::preparation::ModelFiles;
use crate::compute::{Compute, ComputeOn};
use crate::config::Args;
use crate::progress_reporter::ProgressReporter;
use crate::train::alone::{self, AloneConfig};
use crate::train::{DataLoader, Evaluated};
use anyhow::Context;
use ps_client::{CallOptions, Counters, HeartbeatConfig, SessionConfig, WorkerEnvironment};
use ps_core::learning::Verdict;
use ps_core::model_file;
use ps_core::schema::SCHEMA_FILE;
use ps_core::scores::EvaluationSet;
use ps_core::settings::TrainingSettings;
use ps_runtime::files::{Directory, FileStore};
use ps_runtime::{MetricSink, Outside, Shutdown};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What is trained.
pub(super) struct Model {
    pub(super) compute: Box<dyn Compute>,
    pub(super) loader: DataLoader,
    /// What is written beside the weights.
    pub(super) files: ModelFiles,
}

/// Without a master: train, and as worker 0 write the model.
pub(super) async fn run(
    args: Args,
    Model { compute, loader, files: beside }: Model,
    outside: Outside,
    shutdown: Shutdown,
) -> anyhow::Result<u8> {
    let settings = args.training.settings()?;
    let index = args.worker_index.unwrap_or(0);
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("out"));
    let files = if index == 0 { Some(Directory::open(&out)?) } else { None };
    let layout = compute.layout().clone();
    let divergence = settings.divergence;
    let sharing = if args.model.read.sharded { 1 } else { args.workers.unwrap_or(1) };
    let own_samples = compute.train_samples() / u64::from(sharing);
    let mut reporter = ProgressReporter::new(&settings, own_samples, &outside);
    let config = AloneConfig {
        session: session(&args, &settings)?,
        sharing,
        settings,
        compute_on: ComputeOn::Thread,
        loader,
    };
    let counters = Arc::new(Counters::default());
    let metrics = outside.metrics.clone();
    let finished =
        alone::run(config, compute, counters.clone(), &mut reporter, outside, shutdown).await;
    reporter.close();
    let finished = finished?;
    if let (Some(files), Some(weights)) = (files, &finished.weights) {
        let model = model_file::to_safetensors(&layout, weights)?;
        write(&files, &beside, &model).context("saving the model")?;
    }
    if let Some(evaluated) = &finished.evaluation {
        report(evaluated, &metrics);
    }
    for line in reporter.summary(&counters) {
        tracing::info!("{line}");
    }
    let sign = finished.evaluation.and_then(|found| reporter.sign_at_end(&found));
    match sign.and_then(|sign| divergence.verdict(&sign)) {
        Some(Verdict::Stop(reason)) => return Err(anyhow::Error::msg(reason)),
        Some(Verdict::Warn(line)) => tracing::warn!("{line}"),
        None => (),
    }
    Ok(finished.exit_code)
}

/// Writes the model with what belongs to it.
fn write(files: &Directory, beside: &ModelFiles, model: &[u8]) -> std::io::Result<()> {
    // A schema of an earlier run would be taken for this model's.
    files.remove(SCHEMA_FILE)?;
    beside.iter().try_for_each(|(name, bytes)| files.write(name, bytes))?;
    files.write(model_file::MODEL_FILE, model)?;
    tracing::info!("wrote {}/{}", files.location(), model_file::MODEL_FILE);
    Ok(())
}

/// Who the worker is, and where the servers are.
fn session(args: &Args, settings: &TrainingSettings) -> anyhow::Result<SessionConfig> {
    // A program of a job with a master starts us where `ps-worker -- CMD` put it.
    let told = WorkerEnvironment::from_env()?;
    Ok(SessionConfig {
        job: args.process.job_id.clone(),
        worker: args.worker_index.unwrap_or(0),
        identity: told.map(|told| (told.incarnation, told.epoch)),
        servers: args.servers.clone(),
        calls: CallOptions {
            attempt: Duration::from_millis(args.calls.attempt_ms.max(1)),
            patience: Duration::from_millis(args.calls.patience_ms),
            wire: settings.wire,
        },
        heartbeat: HeartbeatConfig {
            interval: Duration::from_secs(2),
            step_timeout: Duration::from_secs(args.step_timeout_s.max(1)),
        },
    })
}

/// Tells how good the model is.
fn report(evaluated: &Evaluated, metrics: &MetricSink) {
    let sets = [
        (EvaluationSet::Validation, &evaluated.validation),
        (EvaluationSet::Test, &evaluated.test),
    ];
    for (set, scores) in sets {
        let lines = scores.iter().flat_map(|scores| scores.final_lines(set));
        lines.for_each(|line| metrics(&line));
    }
    if evaluated.test.as_ref().is_none_or(|test| test.samples == 0) {
        tracing::warn!(
            "no test data: loss and accuracy of the model on unseen samples are not known; give \
             --test or put a test set into --data"
        );
    }
}
