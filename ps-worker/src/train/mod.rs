//! Training: where the client of the servers and the model meet.

mod ahead;
pub mod alone;
mod batches;
mod heart;
mod kept;
mod lease;
mod managed;
mod order;
mod served;
mod share;
mod trainer;
mod workload;

pub use trainer::{StepOutcome, Trainer};
pub use workload::{
    BuildModel, Preparing, Program, ProgramRun, Share, Stream, StreamPass, Streams, Workload,
    WorkloadKind,
};

use crate::compute::{ComputeError, ComputeOn};
use futures_util::future::LocalBoxFuture;
use ps_client::Counters;
use ps_proto::v1;
use ps_runtime::member;
use ps_runtime::{Outside, Shutdown};
use std::sync::Arc;
use std::time::Duration;

/// Why a worker failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model or its data.
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// The servers.
    #[error(transparent)]
    Client(#[from] ps_client::Error),
    /// The master.
    #[error(transparent)]
    Member(#[from] member::Error),
    /// The master's words.
    #[error("the job failed: {0}")]
    JobFailed(String),
    /// The loss says that training goes wrong.
    #[error("{0}")]
    Diverged(String),
    /// The master sent what this version does not know.
    #[error("from the master: {0}")]
    Settings(#[from] ps_proto::convert::Error),
    /// Samples that another process has cannot be read.
    #[error("the samples at {address} cannot be read: {message}")]
    Unserved {
        /// Who has them.
        address: String,
        /// What went wrong.
        message: String,
    },
    /// The own samples cannot be served to others.
    #[error("serving samples: {0}")]
    Serve(String),
    /// The user's program failed with this exit code.
    #[error("the program ended with exit code {0}")]
    Program(u8),
}

/// What a worker or evaluator is told.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The job it belongs to.
    pub job: String,
    /// Worker or evaluator.
    pub role: v1::Role,
    /// The master's address.
    pub master: String,
    /// The rank that it would like.
    pub index: Option<u32>,
    /// Where it runs, for messages to people.
    pub address: String,
    /// How long one attempt of a call to a server may take.
    pub attempt: Duration,
    /// How long a server may be away.
    pub patience: Duration,
    /// Where gradients are computed.
    pub compute_on: ComputeOn,
}

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
        let share = match &mut workload.kind {
            WorkloadKind::Model { share, .. } => share.take(),
            WorkloadKind::Program(_) => None,
        };
        let job = config.job.clone();
        let served = async {
            match share {
                Some(share) => share::serve(&job, share).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            error = served => Err(error),
            ended = managed::run(config, workload, counters, outside, shutdown) => ended,
        }
    })
}
