//! What tells the servers of a job without a master that a worker lives, while it does other things.

use crate::client::Client;
use crate::counters::Counters;
use ps_runtime::Clock;
use std::sync::Arc;
use std::time::Duration;

/// How often the servers of a job without a master hear of a worker, and how long without progress.
#[derive(Clone, Copy, Debug)]
pub struct HeartbeatConfig {
    /// Between two heartbeats.
    pub interval: Duration,
    /// How long a step may take before there are no more: a worker that hangs must not hold the
    /// others.
    pub step_timeout: Duration,
}

impl HeartbeatConfig {
    /// For a training loop of somebody's own: one that rests for longer holds the others no more.
    pub const OF_A_LOOP: Self =
        Self { interval: Duration::from_secs(2), step_timeout: Duration::from_secs(60) };
}

/// When a worker last made progress: finished a step, or waited for the servers.
struct Progress {
    steps: u64,
    last: Duration,
}

impl Progress {
    /// Whether there was any within the time-out, given what the worker counts now.
    fn is_recent(&mut self, counters: &Counters, now: Duration, timeout: Duration) -> bool {
        if counters.steps() != self.steps || counters.is_exchanging() {
            (self.steps, self.last) = (counters.steps(), now);
        }
        now.saturating_sub(self.last) < timeout
    }
}

/// Tells the servers that this worker lives, as long as it finishes steps or waits for them.
pub(crate) async fn heartbeat(
    client: Arc<Client>,
    counters: Arc<Counters>,
    clock: Clock,
    config: HeartbeatConfig,
) {
    let mut progress = Progress { steps: counters.steps(), last: clock.now() };
    loop {
        tokio::time::sleep(config.interval).await;
        if progress.is_recent(&counters, clock.now(), config.step_timeout) {
            client.alive(false).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Waiting;
    use crate::report::PushReport;

    #[test]
    fn a_worker_that_hangs_is_no_longer_alive() {
        let counters = Counters::default();
        let mut progress = Progress { steps: 0, last: Duration::ZERO };
        let second = Duration::from_secs;
        let mut alive = |at| progress.is_recent(&counters, second(at), second(10));
        assert!(alive(9) && !alive(10), "no step yet");
        counters.stepped(1, 0.0, 1, &PushReport::default());
        assert!(alive(11) && alive(20) && !alive(21), "one step, then none");
        let waiting = Waiting::new(&counters);
        assert!(alive(100), "it waits for the servers, not for itself");
        drop(waiting);
        assert!(alive(109) && !alive(110));
    }
}
