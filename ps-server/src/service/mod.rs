//! The calls of the wire, translated to the shard.

mod buffers;
mod bulk;
mod checkpoint;
mod data;
mod membership;
mod status;

pub(crate) use bulk::DataPlaneCalls;

use crate::shard::Shard;
use buffers::Buffers;
use ps_core::limits;
use ps_proto::convert::refusal::{self, Reason};
use ps_runtime::Clock;
use ps_runtime::files::Files;
use std::sync::Arc;
use tonic::Status;

/// Answers the calls to one shard.
#[derive(Clone)]
pub(crate) struct Service {
    job: Arc<str>,
    shard: Arc<Shard>,
    clock: Clock,
    /// What chunks of pushes are received into.
    buffers: Arc<Buffers>,
    /// Held while a worker sends the start weights, or a checkpoint is restored.
    initialising: Arc<tokio::sync::Mutex<()>>,
    checkpoints: Option<Arc<checkpoint::Checkpoints>>,
}

impl Service {
    pub(crate) fn new(
        job: &str,
        shard: Arc<Shard>,
        clock: Clock,
        checkpoints: Option<Files>,
    ) -> Self {
        Self {
            job: job.into(),
            shard,
            clock,
            buffers: Arc::new(Buffers::new(limits::PUSH_BYTES_IN_FLIGHT_MAX)),
            initialising: Arc::default(),
            checkpoints: checkpoints.map(checkpoint::Checkpoints::new).map(Arc::new),
        }
    }

    #[allow(clippy::result_large_err)] // tonic's own error type
    fn check_job(&self, job: &str) -> Result<(), Status> {
        if job == &*self.job {
            return Ok(());
        }
        let message = format!(
            "this server belongs to job `{}`, the caller to job `{job}`: set --job-id alike, or \
             use other addresses",
            self.job
        );
        Err(refusal::status(Reason::OtherJob, 0, 0, message))
    }

    #[allow(clippy::result_large_err)]
    fn check_shard(&self, shard: u32) -> Result<(), Status> {
        let own = self.shard.index();
        if shard == own {
            return Ok(());
        }
        let message = format!("this server holds shard {own}, the call is for shard {shard}");
        Err(refusal::status(Reason::OtherShard, self.shard.epoch(), 0, message))
    }
}
