//! A server with its listener, its master and its end.

use crate::config::Config;
use crate::error::Error;
use crate::journal::{self, JournalError, JournalFiles, OpenJournal, Waiting, Writing};
use crate::managed::{self, End};
use crate::reflection;
use crate::service::{DataPlaneCalls, Service};
use futures_util::future::BoxFuture;
use ps_core::limits::CONTROL_MESSAGE_BYTES_MAX;
use ps_core::shard::Shard;
use ps_proto::v1::data_plane_server::SERVICE_NAME as DATA_PLANE;
use ps_proto::v1::shard_control_server::{SERVICE_NAME as SHARD_CONTROL, ShardControlServer};
use ps_runtime::files::Files;
use ps_runtime::health::{Health, ServingStatus};
use ps_runtime::member::report_failure;
use ps_runtime::requests::RequestBudget;
use ps_runtime::transport::limited;
use ps_runtime::{Incoming, Lanes, Outside, Shutdown};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::watch;
use tonic::transport::server::Router;

/// How often a server without a master looks whether its workers are gone after a signal.
const LOOK: Duration = Duration::from_millis(100);

/// Where a server writes.
#[derive(Clone, Default)]
pub struct ServerFiles {
    /// Where the shard's part of checkpoints is written and read; without it the master cannot have any.
    pub checkpoints: Option<Files>,
    /// Where its journal is, which nobody else has; without it pushes are acknowledged when they are applied.
    pub journal: Option<Files>,
}

/// Serves one shard until the master lets it leave, or a signal ends it; returns the exit code.
///
/// `lanes` serve the connections.
///
/// # Errors
/// The listener or the journal broke, the master was lost, or the job failed.
pub fn run(
    config: Config,
    incoming: Incoming,
    lanes: Lanes,
    address: String,
    outside: Outside,
    shutdown: Shutdown,
    files: ServerFiles,
) -> BoxFuture<'static, Result<u8, Error>> {
    // Boxed here, so that it is compiled here, and not once more in every program.
    Box::pin(async move {
        let shard_index = config.shard;
        (outside.metrics)(&format!("role=server; shard={shard_index}; listening={address};"));
        tracing::info!("shard {shard_index} of job `{}` listens on {address}", config.job);
        let lease = config.master.is_none().then_some(config.lease);
        let gate_changes = watch::Sender::new(());
        let notifier = gate_changes.clone();
        let notify_gate = Box::new(move || notifier.send_replace(()));
        let shard = Shard::new(shard_index, lease, config.guards, notify_gate);
        let (shard, journal) = match with_journal(&config, shard, &files, &outside) {
            Ok(opened) => opened,
            Err(error) => return Err(told_to_master(&config, &address, &outside, error).await),
        };
        let journal_location =
            files.journal.as_ref().map(|files| files.location()).unwrap_or_default();
        let is_successor = journal.is_some() || config.goes_back;
        let (kept, writing) = journal.map(|open| (open.files, open.writing)).unzip();
        let (clock, home) = (outside.clock.clone(), lanes.home());
        let service =
            Service::new(&config, shard.clone(), gate_changes, clock, files.checkpoints, home)
                .with_journal(outside.seed, kept.clone());
        let is_member = service.is_member();
        let (routes, health) = routes(&config, service, &outside).await?;
        let serving = lanes
            .serve(limited(incoming, config.bounds.connections), move |connections| {
                routes.clone().serve_with_incoming(connections)
            });
        let journal = kept.clone();
        let end = until_end(
            &config,
            (address.clone(), is_successor, is_member),
            &shard,
            (&outside, shutdown),
            &health,
            journal.as_deref(),
        );
        let ended = tokio::select! {
            // Heartbeats come ahead of accepting, which may use up all that a task may do in one turn.
            biased;
            code = end => code,
            error = journal_fails(&shard, kept, writing) => {
                let (shard, location) = (shard_index, journal_location);
                let error = Error::Journal { shard, location, error };
                Err(told_to_master(&config, &address, &outside, error).await)
            }
            served = serving => match served {
                Ok(()) => Ok(End::Alone(0)),
                Err(error) => Err(Error::Serve { shard: shard_index, address, error }),
            },
        };
        // The model is saved: nobody goes on from here.
        if matches!(ended, Ok(End::Released(_))) {
            journal.iter().for_each(|journal| journal.remove());
        }
        ended.map(End::exit_code)
    })
}

/// Serves until the master lets the server leave, or a signal ends it; a journal that is kept has its end when the job is
/// over.
async fn until_end(
    config: &Config,
    (bound, is_successor, is_member): (String, bool, Arc<AtomicBool>),
    shard: &Shard,
    (outside, shutdown): (&Outside, Shutdown),
    health: &Health,
    journal: Option<&JournalFiles>,
) -> Result<End, Error> {
    let ended = match &config.master {
        Some(master) => {
            let place = managed::Place { master: master.clone(), bound, is_successor, is_member };
            managed::run(config, place, (shard, journal), outside, shutdown, health).await
        }
        None => Ok(End::Alone(alone(config, shard, outside, shutdown).await)),
    };
    // The model is saved, or there will be none: nothing more happens to the shard.
    let is_over =
        matches!(ended, Ok(End::Released(_)) | Err(Error::JobFailed { goes_on: false, .. }));
    if let Some(journal) = journal.filter(|_| is_over) {
        journal.end(config.shard).await;
    }
    ended
}

/// The calls that it answers, and what it says of its health.
async fn routes(
    config: &Config,
    service: Service,
    outside: &Outside,
) -> Result<(Router, Health), Error> {
    let budget = RequestBudget::new(outside.clock.clone());
    let data = DataPlaneCalls::new(service.clone(), &budget);
    let control = ShardControlServer::new(service);
    let control = control.max_decoding_message_size(CONTROL_MESSAGE_BYTES_MAX);
    let control = budget.bounded(control, CONTROL_MESSAGE_BYTES_MAX);
    // Nobody is told of a shard before its master knows it.
    let health = match config.master {
        Some(_) => ServingStatus::NotServing,
        None => ServingStatus::Serving,
    };
    let health = Health::new(&[DATA_PLANE, SHARD_CONTROL], health).await;
    let reflection = reflection::services().map_err(Error::Reflection)?;
    let routes = ps_runtime::transport::server()
        .add_routes(reflection)
        .add_service(data)
        .add_service(control)
        .add_service(health.service(&budget));
    Ok((routes, health))
}

/// The shard as its folder has it, and its journal from now on, where it has one.
fn with_journal(
    config: &Config,
    shard: Shard,
    files: &ServerFiles,
    outside: &Outside,
) -> Result<(Arc<Shard>, Option<OpenJournal>), Error> {
    if config.goes_back {
        shard.expect_later_versions();
    }
    let Some(files) = files.journal.clone() else { return Ok((Arc::new(shard), None)) };
    let waiting = Arc::new(Waiting::default());
    let shard = Arc::new(shard.with_journal(waiting.clone()));
    let (job, now, location) = (config.job.as_str(), outside.clock.now(), files.location());
    let journal = journal::open((job, outside.seed), files, (&shard, waiting), config.journal, now);
    let failed = |error| Error::Journal { shard: config.shard, location, error };
    let journal = journal.map_err(failed)?;
    Ok((shard, Some(journal)))
}

/// The job cannot go on without this shard: its master says why, and not only that a server is gone. The error again.
async fn told_to_master(config: &Config, address: &str, outside: &Outside, error: Error) -> Error {
    if let Some(master) = &config.master {
        let reason = format!("the server at {address} cannot go on: {error}");
        let told = report_failure(outside, master, &config.job, &reason, Vec::new()).await;
        if let Err(untold) = told {
            tracing::warn!("the master could not be told why this server ends: {untold}");
        }
    }
    error
}

/// Writes the journal and keeps it short, where there is one; why it cannot any more.
async fn journal_fails(
    shard: &Shard,
    journal: Option<Arc<JournalFiles>>,
    writing: Option<Writing>,
) -> JournalError {
    let (Some(journal), Some(writing)) = (journal, writing) else {
        return std::future::pending().await;
    };
    tokio::select! {
        biased;
        error = writing => error,
        () = journal.keep_short(shard) => std::future::pending().await,
    }
}

/// Without a master: serve until a signal, and then while workers are still active.
async fn alone(config: &Config, shard: &Shard, outside: &Outside, mut shutdown: Shutdown) -> u8 {
    let signal = shutdown.wait().await;
    let deadline = outside.clock.now() + config.serve_after_signal;
    while shard.has_active_workers(outside.clock.now()) && outside.clock.now() < deadline {
        tokio::time::sleep(LOOK).await;
    }
    signal.exit_code()
}
