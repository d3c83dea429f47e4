//! The program `ps-worker`: from the command line to a running worker.

mod alone;
mod learning;
mod on_thread;
mod preparation;
mod program;
mod workload;

use on_thread::on_thread;
use preparation::{Part, late};

use crate::compute::ComputeOn;
use crate::config::{Args, ModelArgs};
use crate::data::Known;
use crate::model::Models;
use crate::model_source::ModelSource;
use crate::place::Place;
use crate::threads;
use crate::train::{self, WorkerConfig};
use ps_cli::process::{EXIT_USAGE, Tasks};
use ps_client::Counters;
use ps_data::Dataset;
use ps_runtime::{Outside, Shutdown};
use std::ffi::OsString;
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
        Box::pin(run(&models, args, outside, shutdown)).await
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
    mut shutdown: Shutdown,
) -> anyhow::Result<u8> {
    let counters = Arc::new(Counters::default());
    if let Some(master) = args.master.clone().filter(|_| !args.program.is_empty()) {
        return program::run(&args, master, counters, outside, shutdown).await;
    }
    let preparing = preparation::with_deadline(models, &args, &outside);
    let prepared = tokio::select! {
        biased;
        signal = shutdown.wait() => return Ok(signal.exit_code()),
        prepared = preparing => prepared?,
    };
    // Whoever starts us takes this line for the word that we can work: it comes when we can.
    (outside.metrics)(&prepared.ready);
    match prepared.part {
        Part::Member(master, workload) => {
            let config = with_master(&args, master);
            Ok(train::run(config, *workload, counters, outside, shutdown).await?)
        }
        Part::Alone(compute, loader, files) => {
            let model = alone::Model { compute, loader, files };
            alone::run(args, model, outside, shutdown).await
        }
    }
}

/// The data that the options name, for which the model that they name can be built.
///
/// # Errors
/// Data, device or model cannot be had, or not in time; the message says what to do.
pub async fn data(models: &Models, args: &ModelArgs) -> anyhow::Result<Arc<Dataset>> {
    let (models, own) = (models.clone(), args.clone());
    let read = on_thread(move || {
        let source = ModelSource::new(&models, &own, Place::default(), Known::Nothing)?;
        source.data().warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        source.model()?;
        Ok(source.data().clone())
    });
    let read = tokio::time::timeout(args.read.load_timeout(), read).await;
    read.unwrap_or_else(|_| Err(late(args)))
}

fn with_master(args: &Args, master: String) -> WorkerConfig {
    WorkerConfig {
        job: args.process.job_id.clone(),
        role: args.role.to_wire(),
        master,
        index: args.worker_index,
        address: address(args),
        attempt: Duration::from_millis(args.calls.attempt_ms.max(1)),
        patience: Duration::from_millis(args.calls.patience_ms),
        compute_on: ComputeOn::Thread,
        leave_after_signal: args.process.stop_times().left,
    }
}

/// Where this process is, for messages to people.
fn address(args: &Args) -> String {
    let host = args.host_name.clone().unwrap_or_else(machine_name);
    format!("{host} (pid {})", std::process::id())
}

fn machine_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
