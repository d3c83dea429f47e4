//! Calls to one shard, made again until they are answered.

use super::ShardClient;
use crate::error::Error;
use ps_core::ids::Epoch;
use ps_proto::convert::refusal::{self, Reason};
use ps_runtime::link::{Link, Patience, is_retryable};
use ps_runtime::progress::Progress;
use std::sync::atomic::Ordering;
use tonic::transport::Channel;
use tonic::{Code, Status};

impl ShardClient {
    /// Calls until there is an answer; a newer epoch and another address are followed on the way. An
    /// attempt is given up when nothing moves in it, the call when nothing has for as long as a server may be
    /// away: where there is a master, it decides how long that is, as soon as it says that the server is.
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
        let patience = Patience { attempt: attempt_longest, total };
        loop {
            let (mut way, epoch) = (self.way(), self.state.epoch());
            let link = way.link.clone();
            let retried = |status: &Status| self.retried(&link, status);
            let call = Box::pin(link.call_while(progress, patience, &mut attempt, retried));
            let status = match way.unless_left(call).await {
                Some(Ok(answer)) => {
                    self.told.store(false, Ordering::Relaxed);
                    return Ok(answer);
                }
                Some(Err(status)) => status,
                None => {
                    self.state.traffic.retries.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
            };
            let is_waited_for = is_retryable(&status) && way.is_waited_for();
            if !is_waited_for && !self.adopt_epoch(&status, epoch) {
                return Err(Error::of(self.shard, link.address(), &status));
            }
        }
    }

    /// One attempt, whose failure says whether another may succeed.
    pub(super) async fn once<T, F>(&self, attempt: impl FnOnce(Channel) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let (mut way, epoch) = (self.way(), self.state.epoch());
        let link = way.link.clone();
        // Boxed, as it is held more than once on its way.
        let done = way.unless_left(Box::pin(attempt(link.channel()))).await;
        done.unwrap_or_else(|| Err(left())).map_err(|status| {
            let is_final = !is_retryable(&status) && !self.adopt_epoch(&status, epoch);
            if !is_final {
                self.retried(&link, &status);
                if status.code() == Code::DeadlineExceeded {
                    link.reconnect();
                }
            }
            let error = Error::of(self.shard, link.address(), &status);
            Failure { status, error, is_final }
        })
    }

    /// Counts an attempt that failed, and tells people once.
    pub(super) fn retried(&self, link: &Link, status: &Status) {
        self.state.traffic.retries.fetch_add(1, Ordering::Relaxed);
        if !self.told.swap(true, Ordering::Relaxed) {
            let (shard, address) = (self.shard, link.address());
            tracing::info!("waiting for server {shard} at {address}: {}", status.message());
        }
    }

    /// Whether the call was refused for its epoch, this one or an older one, and there is a newer.
    fn adopt_epoch(&self, status: &Status, called_in: Epoch) -> bool {
        let Some(refusal) = refusal::from_status(status) else { return false };
        if refusal.reason() == Reason::StaleEpoch {
            self.state.adopt_epoch(refusal.current_epoch);
            return self.state.epoch() > called_in;
        }
        false
    }
}

/// What becomes of an attempt at a place that the server has left.
pub(super) fn left() -> Status {
    Status::aborted("the server is said to be elsewhere, or back")
}

/// One attempt that failed, and whether another would, too.
pub(super) struct Failure {
    pub(super) status: Status,
    pub(super) error: Error,
    pub(super) is_final: bool,
}
