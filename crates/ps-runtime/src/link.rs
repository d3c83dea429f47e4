//! One peer that may be away for a while: calls with a deadline, retried over fresh connections.

use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::progress::Progress;
use crate::transport::{BadAddress, Connector};
use ps_proto::convert::refusal::{self, Reason};
use std::sync::Mutex;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// First and longest wait between two attempts.
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_LONGEST: Duration = Duration::from_secs(1);

/// How long calls to a peer may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// One attempt, while nothing moves in it; then the connection is taken for dead and a fresh one is tried.
    pub attempt: Duration,
    /// All attempts of one call, from where the first failed on, or from the last time that something
    /// moved that stays.
    pub total: Duration,
}

/// A connection to one peer that is replaced when it does not answer.
pub struct Link {
    address: String,
    connector: Connector,
    channel: Mutex<Channel>,
    clock: Clock,
    seed: u64,
}

impl Link {
    /// A link to `host:port`; nothing is connected yet.
    ///
    /// # Errors
    /// The address is not `host:port`.
    pub fn new(
        connector: &Connector,
        address: &str,
        clock: &Clock,
        seed: u64,
    ) -> Result<Self, BadAddress> {
        Ok(Self {
            address: address.to_owned(),
            connector: connector.clone(),
            channel: Mutex::new(connector.channel(address)?),
            clock: clock.clone(),
            seed,
        })
    }

    /// Where the peer is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The channel as it is now.
    pub fn channel(&self) -> Channel {
        self.channel.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Gives up the connection: the next call connects anew. What is in flight on the old one goes
    /// on there until its own time is over.
    pub fn reconnect(&self) {
        if let Ok(fresh) = self.connector.channel(&self.address) {
            *self.channel.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = fresh;
        }
    }

    /// Calls until an answer comes, the answer is final, or the patience is over.
    ///
    /// `attempt` makes one call on the channel it is given; `retried` is told about each attempt
    /// that failed and is tried again.
    ///
    /// # Errors
    /// The peer's final answer, or the last failure with the address and the time spent.
    pub async fn call<T, F>(
        &self,
        patience: Patience,
        attempt: impl FnMut(Channel) -> F,
        retried: impl FnMut(&Status),
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        self.call_while(&Progress::default(), patience, attempt, retried).await
    }

    /// The same; an attempt may take as long as it likes while it says that something moves.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_while<T, F>(
        &self,
        progress: &Progress,
        patience: Patience,
        mut attempt: impl FnMut(Channel) -> F,
        mut retried: impl FnMut(&Status),
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_LONGEST, self.seed);
        let mut failing_since: Option<Duration> = None;
        loop {
            let begun = self.clock.now();
            let attempted = progress.limit(patience.attempt, attempt(self.channel())).await;
            let status = match attempted {
                Ok(answer) => return Ok(answer),
                Err(status) => status,
            };
            if !is_retryable(&status) {
                return Err(status);
            }
            if status.code() == Code::DeadlineExceeded {
                // A peer that is silent on this connection may answer on another.
                self.reconnect();
            }
            let now = self.clock.now();
            if is_waiting(&status) {
                failing_since = None;
                retried(&status);
                tokio::time::sleep(backoff.next_wait()).await;
                continue;
            }
            // What moved before it broke off does not count as failing.
            let broken_at = begun.max(now.saturating_sub(progress.idle()));
            let since = *failing_since.get_or_insert(broken_at);
            let since = since.max(now.saturating_sub(progress.stalled()));
            failing_since = Some(since);
            let spent = now.saturating_sub(since);
            if spent >= patience.total {
                let message =
                    format!("{}: no success in {spent:.1?}: {}", self.address, status.message());
                return Err(Status::unavailable(message));
            }
            retried(&status);
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }
}

/// Whether the peer says that it is there, and waits itself: no reason to give it up.
fn is_waiting(status: &Status) -> bool {
    refusal::from_status(status).is_some_and(|refusal| refusal.reason() == Reason::DiskFull)
}

/// Whether a later attempt of the same call may succeed.
pub fn is_retryable(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Aborted => {
            true
        }
        // h2 and hyper report broken connections under these codes, without details of ours.
        Code::Cancelled | Code::Internal | Code::Unknown => status.details().is_empty(),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::SystemClock;
    use std::sync::atomic::{AtomicU32, Ordering};

    const PATIENCE: Patience =
        Patience { attempt: Duration::from_secs(10), total: Duration::from_secs(30) };

    /// The call's end when each of so many attempts ends so, and the next one well; how many failed.
    async fn call(failures: u32, status: impl Fn() -> Status) -> (Result<(), Status>, u32) {
        let connector = Connector::new(|_| Box::pin(std::future::pending()));
        let link = Link::new(&connector, "127.0.0.1:1", &SystemClock::start(), 1).unwrap();
        let (made, failed) = (AtomicU32::new(0), AtomicU32::new(0));
        let attempt = |_| {
            let is_over = made.fetch_add(1, Ordering::Relaxed) >= failures;
            let status = status();
            async move { if is_over { Ok(()) } else { Err(status) } }
        };
        let retried = |_: &Status| {
            failed.fetch_add(1, Ordering::Relaxed);
        };
        let ended = link.call(PATIENCE, attempt, retried).await;
        (ended, failed.into_inner())
    }

    /// Found by a newcomer: a server waited for room on its disk for longer than a server may be away, and said so, and its
    /// workers gave it up.
    #[tokio::test(start_paused = true)]
    async fn regression_a_peer_that_says_that_it_waits_is_not_given_up() {
        let full = || refusal::status(Reason::DiskFull, 0, 0, "no room");
        let (ended, failed) = call(600, full).await;
        assert!(ended.is_ok() && failed == 600, "{ended:?} after {failed}");
        let (ended, failed) = call(600, || Status::unavailable("nobody is there")).await;
        assert!(ended.is_err() && failed < 60, "{ended:?} after {failed}");
    }
}
