//! Calls to one shard, made again until they are answered.

use super::ShardClient;
use crate::error::Error;
use ps_proto::convert::refusal::{self, Reason};
use ps_runtime::link::Patience;
use ps_runtime::progress::Progress;
use std::sync::atomic::Ordering;
use tonic::Status;
use tonic::transport::Channel;

impl ShardClient {
    /// Calls until there is an answer; a newer epoch is adopted on the way. An attempt is given up when
    /// nothing moves in it, the call when nothing has for as long as a server may be away.
    pub(super) async fn retry<T, F>(
        &self,
        progress: &Progress,
        mut attempt: impl FnMut(Channel) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let total = self.state.config.patience;
        let attempt_longest = self.state.config.attempt.min(total);
        let patience = Patience { attempt: attempt_longest, total, waits: false };
        loop {
            let retried = |status: &Status| self.retried(status);
            let result = self.link.call_while(progress, patience, &mut attempt, retried).await;
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
