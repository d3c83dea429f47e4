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
        let find = |files| StateFile::find(files, &config.job, &config.machine);
        let found = files.state.as_ref().map(find).transpose()?.flatten();
        if config.go_on && found.is_none() {
            let location = files.state.map(|files| files.location()).unwrap_or_default();
            return Err(Error::NoState { location, file: STATE_FILE });
        }
        if let Some(saved) = &found {
            // Its time went by for nobody while it was not there.
            let by = saved.now.saturating_sub(outside.clock.now());
            outside.clock = clock::ahead(outside.clock, by);
        }
        (outside.metrics)(&format!("role=master; listening={address};"));
        let machine = &config.machine;
        tracing::info!(
            "job `{}`: listening on {address} for {} servers and {} workers; results go to {}",
            config.job,
            machine.servers,
            machine.workers,
            files.results.location()
        );
        tracing::info!("training: {}", machine.settings.words());
        if machine.checkpoints {
            let job = &config.job;
            tracing::info!(
                "a checkpoint at any time: psrun checkpoint now --master {address} --job-id {job}"
            );
        }
        let (service, calls) = Service::new(&config.job, machine, outside.clock.clone());
        let budget = RequestBudget::new(outside.clock.clone());
        let service =
            MasterServer::new(service).max_decoding_message_size(MASTER_REQUEST_BYTES_MAX);
        let service = budget.bounded(service, MASTER_REQUEST_BYTES_MAX);
        let incoming = limited(incoming, connections_within_limit(connections_max(machine)));
        let (done, is_done) = oneshot::channel::<()>();
        let health = Health::new(&[SERVICE_NAME], ServingStatus::Serving).await;
        let serving = ps_runtime::transport::server_of_small_calls()
            .add_service(service)
            .add_service(health.service(&budget));
        let mut serving =
            Box::pin(serving.serve_with_incoming_shutdown(opened(incoming), async move {
                let _ = is_done.await;
            }));
        let driver = Driver::new(config, &outside, shutdown, Place { files, found })?;
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
