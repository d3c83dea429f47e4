//! The calls of the wire, translated to the shard.

mod checkpoint;
mod data;
mod membership;
mod status;

use crate::shard::Shard;
use ps_core::limits;
use ps_proto::convert::refusal::{self, Reason};
use ps_runtime::Clock;
use ps_runtime::files::Files;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tonic::Status;

/// Answers the calls to one shard.
#[derive(Clone)]
pub(crate) struct Service {
    job: Arc<str>,
    shard: Arc<Shard>,
    clock: Clock,
    /// Bytes of push messages in flight, in permits of one message.
    in_flight: Arc<Semaphore>,
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
        let permits = limits::PUSH_BYTES_IN_FLIGHT_MAX / limits::MESSAGE_BYTES_MAX;
        Self {
            job: job.into(),
            shard,
            clock,
            in_flight: Arc::new(Semaphore::new(permits)),
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
