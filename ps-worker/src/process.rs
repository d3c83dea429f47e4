//! The program `ps-worker`: from the command line to a running worker.

use crate::compute::{Compute, ComputeOn};
use crate::config::{Args, ModelArgs, Role};
use crate::made::Made;
use crate::model::Models;
use crate::pipe::{Pipe, Records, Taking};
use crate::program::UserProgram;
use crate::show::Show;
use crate::threads;
use crate::train::alone::{self, AloneConfig};
use crate::train::{
    self, BuildModel, Preparing, Share, Streams, WorkerConfig, Workload, WorkloadKind,
};
use anyhow::Context;
use ps_cli::process::{EXIT_USAGE, Tasks};
use ps_client::place::Place;
use ps_client::{Counters, Pulse};
use ps_core::{DataDescription, DataKind};
use ps_data::{load_stream, stream_files};
use ps_proto::v1;
use ps_runtime::advertise::advertised;
use ps_runtime::files::{Directory, FileStore};
use ps_runtime::model_file;
use ps_runtime::transport;
use ps_runtime::{Outside, Shutdown};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// The whole program `ps-worker` with these models, given its command line.
pub fn main_with(models: Models, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Not generic, so that it is compiled here, and not once more in every program.
    main_of(models, args.into_iter().collect())
}

fn main_of(models: Models, args: Vec<OsString>) -> ExitCode {
    let args = match Args::read(args) {
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
    ps_cli::process::run("ps-worker", &process, Tasks::OneThread, |outside, shutdown| async move {
        run(&models, args, outside, shutdown).await
    })
}

/// Sets both of candle's pools: one that is left alone takes every core and spins.
fn set_threads(asked: Option<usize>) -> std::io::Result<()> {
    let set =
        || std::env::var("RAYON_NUM_THREADS").ok()?.parse().ok().filter(|&threads| threads > 0);
    threads::configure_threads(asked.or_else(set).unwrap_or_else(|| threads::fair_share(1)))
}

async fn run(
    models: &Models,
    args: Args,
    outside: Outside,
    shutdown: Shutdown,
) -> anyhow::Result<u8> {
    if let Some(master) = args.master.clone().filter(|_| !args.program.is_empty()) {
        let config = with_master(&args, master);
        let counters = Arc::new(Counters::default());
        return Ok(train::run(config, program(&args), counters, outside, shutdown).await?);
    }
    let mut made = Made::new(models, &args.model)?;
    let (streams, mut shutdown) = (piped(&args, &mut made), shutdown);
    let streams = tokio::select! {
        biased;
        signal = shutdown.wait() => return Ok(signal.exit_code()),
        streams = streams => streams?,
    };
    let role = if args.role == Role::Worker { "worker" } else { "evaluator" };
    (outside.metrics)(&format!("role={role}; train_samples={};", made.data.train.len()));
    match args.master.clone() {
        Some(master) => {
            let config = with_master(&args, master);
            let counters = Arc::new(Counters::default());
            let workload = workload(&args, made, streams, &outside).await?;
            Ok(train::run(config, workload, counters, outside, shutdown).await?)
        }
        None => {
            let preparing = made.preparing();
            run_alone(args, Box::new(made.model()?), preparing, outside, shutdown).await
        }
    }
}

/// The model on its data, as the options name them.
///
/// # Errors
/// Data, device or model cannot be had; the message says what to do.
pub fn model(models: &Models, args: &ModelArgs) -> anyhow::Result<Box<dyn Compute>> {
    Ok(Box::new(Made::new(models, args)?.model()?))
}

/// A program of the user's that does the work, told of model and data what we were told.
fn program(args: &Args) -> Workload {
    let program = UserProgram::new(args.program.clone(), args.variables.clone());
    let data = DataDescription { kind: DataKind::Program, ..DataDescription::default() };
    Workload { data, kind: WorkloadKind::Program(Box::new(program)) }
}

/// With --pipe or --stream: a worker's training stream, begun, with what it is; and an evaluator's
/// test stream, read into `made`.
///
/// No process reads the stream of another: a FIFO's bytes come to one reader only, and worker and
/// evaluator may be on one host.
async fn piped(args: &Args, made: &mut Made) -> anyhow::Result<Option<(Pipe, DataDescription)>> {
    let read = &args.model.read;
    let Some(data) = args.model.data.as_ref().filter(|_| read.is_streamed()) else {
        return Ok(None);
    };
    if args.role == Role::Evaluator {
        if let Some(stem) = read.test_stem() {
            made.set_test(load_stream(read.stream(stem)).await?, read.classes)?;
        }
        return Ok(None);
    }
    // Nobody sees them in a stream before it has been read: then the evaluator's test data tell.
    let classes = read.classes.or_else(|| made.classes_seen()).unwrap_or(0);
    let records = if read.sharded { Records::Own } else { Records::Shared };
    let classes = u32::try_from(classes).unwrap_or(u32::MAX);
    let source = match read.pipe {
        true => read.stream(data),
        false => stream_files(&read.source(Some(data)))?,
    };
    let taking =
        Taking { records, classes, shift: read.augment_shift, shuffle: read.shuffle_samples() };
    Ok(Some(Pipe::open(source, taking).await?))
}

/// What the job does with the data of this process.
async fn workload(
    args: &Args,
    mut made: Made,
    streams: Option<(Pipe, DataDescription)>,
    outside: &Outside,
) -> anyhow::Result<Workload> {
    if args.model.read.is_streamed() {
        let kind = DataKind::Streamed;
        if args.serve_samples.is_some() {
            tracing::warn!(
                "--serve-samples: a stream cannot be served; the training records that this host has \
                 of its own are not trained on"
            );
        }
        let (streams, data) = match streams {
            Some((pipe, data)) => (Some(Box::new(pipe) as Box<dyn Streams>), data),
            None => (None, made.description(kind)),
        };
        let build: BuildModel = Box::new(move |agreed| Ok(Box::new(made.for_job(agreed)?)));
        let preparing = Preparing::default();
        let kind = WorkloadKind::Model { build, streams, share: None, preparing };
        return Ok(Workload { data, kind });
    }
    let kind = if args.model.read.sharded { DataKind::Sharded } else { DataKind::Replicated };
    let mut data = made.description(kind);
    let mut share = None;
    if let Some(address) = &args.serve_samples {
        let (incoming, address) = transport::listen(address).await?;
        (outside.metrics)(&format!("role=evaluator; serving_samples={address};"));
        data.served_at = Some(advertised(args.advertise.as_deref(), &address.to_string()));
        share = Some(Share { incoming, samples: made.data.clone() });
    }
    if kind == DataKind::Replicated {
        // What is wrong with the model is said before anybody waits for this process.
        made.ready = Some(made.model()?);
    }
    let preparing = made.preparing();
    let build: BuildModel = Box::new(move |agreed| Ok(Box::new(made.for_job(agreed)?)));
    Ok(Workload { data, kind: WorkloadKind::Model { build, streams: None, share, preparing } })
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
        attempt: Duration::from_millis(args.calls.attempt_ms.max(1)),
        patience: Duration::from_millis(args.calls.patience_ms),
        compute_on: ComputeOn::Thread,
    }
}

/// Without a master: train, and as worker 0 write the model.
async fn run_alone(
    args: Args,
    compute: Box<dyn Compute>,
    preparing: Preparing,
    outside: Outside,
    shutdown: Shutdown,
) -> anyhow::Result<u8> {
    let settings = args.training.settings()?;
    let index = args.worker_index.unwrap_or(0);
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("out"));
    let files = if index == 0 { Some(Directory::open(&out)?) } else { None };
    let layout = compute.layout().clone();
    let sharing = if args.model.read.sharded { 1 } else { args.workers.unwrap_or(1) };
    let mut show = Show::new(&settings, compute.train_samples() / u64::from(sharing), &outside);
    let config = AloneConfig {
        job: args.process.job_id,
        servers: args.servers,
        index,
        sharing,
        settings,
        // A program of a job with a master starts us where `ps-worker -- CMD` put it.
        life: Place::from_env()?.map(|place| (place.incarnation, place.epoch)),
        attempt: Duration::from_millis(args.calls.attempt_ms.max(1)),
        patience: Duration::from_millis(args.calls.patience_ms),
        pulse: Pulse {
            interval: Duration::from_secs(2),
            step_timeout: Duration::from_secs(args.step_timeout_s.max(1)),
        },
        compute_on: ComputeOn::Thread,
        preparing,
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
        if evaluation.samples > 0 {
            metrics(&format!("final_test_loss={:.4};", evaluation.loss));
        } else {
            tracing::warn!(
                "no test data: loss and accuracy of the model on unseen samples are not known; \
                 give --test or put a test set into --data"
            );
        }
    }
    for line in show.summary(&counters) {
        tracing::info!("{line}");
    }
    Ok(finished.exit_code)
}
