//! The program `ps-worker`: from the command line to a running worker.

use crate::compute::{Compute, ComputeOn};
use crate::config::{Args, ModelArgs, Role};
use crate::data::{self, Dataset};
use crate::device::DeviceChoice;
use crate::model::{CandleCompute, ComputeOptions, ModelOptions, Models};
use crate::show::Show;
use crate::threads;
use crate::train::alone::{self, AloneConfig};
use crate::train::{self, Counters, Pulse, WorkerConfig};
use anyhow::Context;
use ps_proto::v1;
use ps_runtime::files::{Directory, FileStore};
use ps_runtime::model_file;
use ps_runtime::process::EXIT_USAGE;
use ps_runtime::{Outside, Shutdown};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// The whole program `ps-worker` with these models, given its command line.
pub fn main_with(models: Models, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Args = match ps_runtime::process::parse(args) {
        Ok(args) => args,
        Err(code) => return code,
    };
    if let Err(message) = args.check() {
        eprintln!("error: {message}");
        return ExitCode::from(EXIT_USAGE);
    }
    if let Err(error) = set_threads(args.model.threads) {
        eprintln!("error: --threads: {error}");
        return ExitCode::FAILURE;
    }
    let process = args.process.clone();
    ps_runtime::process::run("ps-worker", &process, |outside, shutdown| async move {
        run(&models, args, outside, shutdown).await
    })
}

/// Computes with one thread unless somebody said otherwise: candle's pools spin against each other.
fn set_threads(asked: Option<usize>) -> std::io::Result<()> {
    match asked {
        Some(threads) => threads::configure_threads(threads),
        None if std::env::var_os("RAYON_NUM_THREADS").is_some() => Ok(()),
        None => threads::configure_threads(1),
    }
}

async fn run(
    models: &Models,
    args: Args,
    outside: Outside,
    shutdown: Shutdown,
) -> anyhow::Result<u8> {
    let compute = model(models, &args.model)?;
    let role = if args.role == Role::Worker { "worker" } else { "evaluator" };
    (outside.metrics)(&format!("role={role}; train_samples={};", compute.train_samples()));
    match args.master.clone() {
        Some(master) => {
            let config = with_master(&args, master);
            let counters = Arc::new(Counters::default());
            Ok(train::run(config, compute, counters, outside, shutdown).await?)
        }
        None => run_alone(args, compute, outside, shutdown).await,
    }
}

/// The model on its data, as the options name them.
///
/// # Errors
/// Data, device or model cannot be had; the message says what to do.
pub fn model(models: &Models, args: &ModelArgs) -> anyhow::Result<Box<dyn Compute>> {
    let data: Dataset = match &args.data {
        Some(dir) => data::load(dir)?,
        None => data::bundled_digits()?,
    };
    let choice: DeviceChoice = args.device.parse()?;
    let device = choice.open()?;
    let mut options = ModelOptions::new();
    if let Some(hidden) = &args.hidden {
        options.set("hidden", hidden.as_str());
    }
    let options = ComputeOptions { model: args.model.clone(), options, device };
    Ok(Box::new(CandleCompute::new(models, options, Arc::new(data))?))
}

fn with_master(args: &Args, master: String) -> WorkerConfig {
    let role = match args.role {
        Role::Worker => v1::Role::Worker,
        Role::Evaluator => v1::Role::Evaluator,
    };
    WorkerConfig {
        job: args.process.job_id.clone(),
        role,
        master,
        index: args.worker_index,
        address: format!("pid {}", std::process::id()),
        attempt: Duration::from_millis(args.attempt_ms.max(1)),
        patience: Duration::from_millis(args.patience_ms),
        compute_on: ComputeOn::Thread,
    }
}

/// Without a master: train, and as worker 0 write the model.
async fn run_alone(
    args: Args,
    compute: Box<dyn Compute>,
    outside: Outside,
    shutdown: Shutdown,
) -> anyhow::Result<u8> {
    let settings = args.training.settings()?;
    let index = args.worker_index.unwrap_or(0);
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("out"));
    let files = if index == 0 { Some(Directory::open(&out)?) } else { None };
    let layout = compute.layout().clone();
    let workers = args.workers.unwrap_or(1);
    let mut show = Show::new(&settings, compute.train_samples() / u64::from(workers), &outside);
    let config = AloneConfig {
        job: args.process.job_id,
        servers: args.servers,
        index,
        workers,
        settings,
        attempt: Duration::from_millis(args.attempt_ms.max(1)),
        patience: Duration::from_millis(args.patience_ms),
        pulse: Pulse {
            interval: Duration::from_secs(2),
            step_timeout: Duration::from_secs(args.step_timeout_s.max(1)),
        },
        compute_on: ComputeOn::Thread,
    };
    let counters = Arc::new(Counters::default());
    let metrics = outside.metrics.clone();
    let finished =
        alone::run(config, compute, counters.clone(), &mut show, outside, shutdown).await;
    show.close();
    let finished = finished?;
    if let (Some(files), Some(weights)) = (files, &finished.weights) {
        let model = model_file::to_safetensors(&layout, weights)?;
        files.write(model_file::MODEL_FILE, &model).context("saving the model")?;
        tracing::info!("wrote {}/{}", files.location(), model_file::MODEL_FILE);
    }
    if let Some(evaluation) = finished.evaluation {
        if let Some(accuracy) = evaluation.accuracy {
            metrics(&format!("final_test_accuracy={accuracy:.4};"));
        }
        metrics(&format!("final_test_loss={:.4};", evaluation.loss));
    }
    for line in show.summary(&counters) {
        tracing::info!("{line}");
    }
    Ok(finished.exit_code)
}
