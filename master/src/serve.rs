//! A master with its listener, from its start to its end.

use crate::config::Config;
use crate::driver::{Driver, Place};
use crate::error::Error;
use crate::files::MasterFiles;
use crate::service::Service;
use crate::state::{STATE_FILE, StateFile};
use futures_util::future::BoxFuture;
use ps_core::limits::{
    EVALUATORS_MAX, MASTER_CONNECTIONS_OTHERS, MASTER_CONNECTIONS_PER_MEMBER,
    MASTER_REQUEST_BYTES_MAX,
};
use ps_proto::v1::master_server::{MasterServer, SERVICE_NAME};
use ps_runtime::descriptors::connections_within_limit;
use ps_runtime::health::{Health, ServingStatus};
use ps_runtime::requests::RequestBudget;
use ps_runtime::transport::{limited, opened};
use ps_runtime::{Incoming, Outside, Shutdown, clock};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// How long the last answers have to reach their members.
const LINGER: Duration = Duration::from_secs(1);

/// Connections at once: what this job's members need, and some more.
fn connections_max(job: &ps_core::master::Config) -> usize {
    let members = job.servers as usize + job.workers as usize + EVALUATORS_MAX as usize;
    members * MASTER_CONNECTIONS_PER_MEMBER + MASTER_CONNECTIONS_OTHERS
}

/// Says where the master is, and what it leads.
fn say_where(
    outside: &Outside,
    address: &str,
    (job, machine): (&str, &ps_core::master::Config),
    results: &str,
) {
    (outside.metrics)(&format!("role=master; listening={address};"));
    let (servers, workers) = (machine.servers, machine.workers);
    tracing::info!(
        "job `{job}`: listening on {address} for {servers} servers and {workers} workers; results go to {results}"
    );
    if machine.checkpoints {
        tracing::info!(
            "a checkpoint at any time: psrun checkpoint now --master {address} --job-id {job}"
        );
    }
}

/// Leads one job to its end; returns the exit code.
///
/// A job that finds checkpoints goes on from the newest that can be used, one that finds the state of a master that died
/// from there.
///
/// # Errors
/// The job failed, or the listener broke.
pub fn run(
    mut config: Config,
    incoming: Incoming,
    address: String,
    mut outside: Outside,
    shutdown: Shutdown,
    files: MasterFiles,
) -> BoxFuture<'static, Result<u8, Error>> {
    // Boxed here, so that it is compiled here, and not once more in every program.
    Box::pin(async move {
        config.machine.checkpoints = files.checkpoints.is_some();
        config.machine.keeps_state = files.state.is_some();
        let find = |files| StateFile::find(files, (&config.job, &config.machine), config.go_on);
        let found = files.state.as_ref().map(find).transpose()?.flatten();
        // What a job left that has ended is of use to a process that was started in place of its master alone.
        let found = found.filter(|saved| config.go_on || !saved.machine.is_finished());
        if config.go_on && found.is_none() {
            let location = files.state.map(|files| files.location()).unwrap_or_default();
            return Err(Error::NoState { location, file: STATE_FILE });
        }
        if let Some(saved) = &found {
            // Its time went by for nobody while it was not there.
            let by = saved.now.saturating_sub(outside.clock.now());
            outside.clock = clock::ahead(outside.clock, by);
        }
        let (job, machine) = (config.job.clone(), config.machine.clone());
        let location = files.results.location();
        let kept = files.checkpoints.clone().unwrap_or_else(|| files.results.clone());
        let mut driver = Driver::new(config, &outside, shutdown, Place { files, found })?;
        // Who has heard of this process finds its state, should it die in the next moment.
        driver.write_state();
        say_where(&outside, &address, (&job, &machine), &location);
        let (service, calls) = Service::new(&job, &machine, outside.clock.clone(), kept);
        let budget = RequestBudget::new(outside.clock.clone());
        let service =
            MasterServer::new(service).max_decoding_message_size(MASTER_REQUEST_BYTES_MAX);
        let service = budget.bounded(service, MASTER_REQUEST_BYTES_MAX);
        let incoming = limited(incoming, connections_within_limit(connections_max(&machine)));
        let (done, is_done) = oneshot::channel::<()>();
        let health = Health::new(&[SERVICE_NAME], ServingStatus::Serving).await;
        let serving = ps_runtime::transport::server_of_small_calls()
            .add_service(service)
            .add_service(health.service(&budget));
        let mut serving =
            Box::pin(serving.serve_with_incoming_shutdown(opened(incoming), async move {
                let _ = is_done.await;
            }));
        // A task of its own: whoever calls, on the same thread, wakes nobody's thread for the answer.
        let mut driving = JoinSet::new();
        driving.spawn(driver.run(calls));
        let ended = tokio::select! {
            biased;
            served = &mut serving => return Err(match served {
                Ok(()) => Error::Closed { address },
                Err(error) => Error::Serve { address, error },
            }),
            Some(ended) = driving.join_next() => ended.unwrap_or_else(|error| {
                std::panic::resume_unwind(error.into_panic())
            }),
        };
        drop(done);
        let _ = tokio::time::timeout(LINGER, serving).await;
        ended
    })
}
