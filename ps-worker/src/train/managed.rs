//! A worker or evaluator with a master, from its first registration to its exit code.

use super::error::Error;
use super::member::{JobMember, WorkerConfig};
use super::sample_server;
use super::workload::{Workload, WorkloadKind};
use futures_util::future::LocalBoxFuture;
use ps_client::Counters;
use ps_core::DataKind;
use ps_proto::v1;
use ps_runtime::{Outside, Shutdown};
use std::sync::Arc;

/// Works for a master until it says leave; returns the exit code. `counters` can be read meanwhile.
///
/// # Errors
/// The job failed, the master or a server is lost, or the computation failed.
pub fn run(
    config: WorkerConfig,
    mut workload: Workload,
    counters: Arc<Counters>,
    outside: Outside,
    shutdown: Shutdown,
) -> LocalBoxFuture<'static, Result<u8, Error>> {
    // Boxed here, so that it is compiled here, and not once more in every program.
    Box::pin(async move {
        let samples = match &mut workload.kind {
            WorkloadKind::Model(model) => model.served.take(),
            WorkloadKind::Program(_) => None,
        };
        let (job, clock) = (config.job.clone(), outside.clock.clone());
        let serving = async {
            match samples {
                Some(samples) => sample_server::serve(&job, samples, clock).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Its own work comes ahead of accepting, which may use up all that a task may do in one turn.
            biased;
            ended = work(config, workload, counters, outside, shutdown) => ended,
            error = serving => Err(error),
        }
    })
}

/// Works as one member after another: whose lease expires registers anew.
async fn work(
    mut config: WorkerConfig,
    mut workload: Workload,
    counters: Arc<Counters>,
    outside: Outside,
    mut shutdown: Shutdown,
) -> Result<u8, Error> {
    let mut token = outside.seed;
    loop {
        let signals = shutdown.clone();
        let registered =
            JobMember::register(&config, workload, counters.clone(), &outside, signals, token);
        let mut member = tokio::select! {
            biased;
            member = registered => member?,
            signal = shutdown.wait() => return Ok(signal.exit_code()),
        };
        match member.work(&mut shutdown).await? {
            Some(code) => return Ok(code),
            None => tracing::warn!("the lease with the master expired; registering anew"),
        }
        let rank = member.rank();
        workload = member.into_workload().await;
        if workload.data.kind != DataKind::Replicated && config.role == v1::Role::Worker {
            // Another rank has other samples.
            config.index = Some(rank);
        }
        token = token.wrapping_add(1);
    }
}
