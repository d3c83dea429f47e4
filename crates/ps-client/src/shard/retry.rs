//! Calls to one shard, made again until they are answered.

use super::ShardClient;
use crate::error::Error;
use ps_proto::convert::refusal::{self, Reason};
use ps_runtime::link::Patience;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tonic::Status;
use tonic::transport::Channel;

/// A wait at the gate has no end of its own: the connection's keepalive notices a dead server, and
/// the gate a dead worker.
pub(super) const GATE_WAIT: Duration = Duration::from_secs(24 * 3600);

impl ShardClient {
    /// Bounds one step of an attempt; whoever waits at the gate is not bounded.
    pub(super) async fn in_time<T>(
        &self,
        step: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let longest = self.state.config.attempt;
        match tokio::time::timeout(longest, step).await {
            Ok(result) => result,
            Err(_) => Err(Status::deadline_exceeded(format!("no answer within {longest:?}"))),
        }
    }

    /// Calls until there is an answer; a newer epoch is adopted on the way.
    pub(super) async fn retry<T, F>(
        &self,
        attempt_longest: Duration,
        mut attempt: impl FnMut(Channel) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let total = self.state.config.patience;
        let waits = attempt_longest == GATE_WAIT;
        let attempt_longest = if waits { GATE_WAIT } else { attempt_longest.min(total) };
        let patience = Patience { attempt: attempt_longest, total, waits };
        loop {
            let result =
                self.link.call(patience, &mut attempt, |status| self.retried(status)).await;
            match result {
                Ok(answer) => {
                    self.told.store(false, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(status) if self.adopt_epoch(&status) => (),
                Err(status) => return Err(Error::of(self.shard, self.link.address(), &status)),
            }
        }
    }

    /// One attempt, whose failure says whether another may succeed.
    pub(super) async fn once<T, F>(&self, attempt: impl FnOnce(Channel) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Status>>,
    {
        attempt(self.link.channel()).await.map_err(|status| {
            let is_final = !ps_runtime::link::is_retryable(&status) && !self.adopt_epoch(&status);
            if !is_final {
                self.retried(&status);
                if status.code() == tonic::Code::DeadlineExceeded {
                    self.link.reconnect();
                }
            }
            Failure { status, is_final }
        })
    }

    /// Counts an attempt that failed, and tells people once.
    pub(super) fn retried(&self, status: &Status) {
        self.state.traffic.retries.fetch_add(1, Ordering::Relaxed);
        if !self.told.swap(true, Ordering::Relaxed) {
            let (shard, address) = (self.shard, self.link.address());
            tracing::info!("waiting for server {shard} at {address}: {}", status.message());
        }
    }

    /// Whether the call was refused for an old epoch, which is then refreshed.
    fn adopt_epoch(&self, status: &Status) -> bool {
        let Some(refusal) = refusal::from_status(status) else { return false };
        let is_newer = refusal.current_epoch > self.state.epoch();
        if refusal.reason() == Reason::StaleEpoch && is_newer {
            self.state.adopt_epoch(refusal.current_epoch);
            return true;
        }
        false
    }
}

/// One attempt that failed, and whether another would, too.
pub(super) struct Failure {
    pub(super) status: Status,
    pub(super) is_final: bool,
}
