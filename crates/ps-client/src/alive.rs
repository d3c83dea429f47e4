//! Signs of life to the servers of a job without a master.

use crate::Client;
use crate::Counters;
use ps_runtime::Clock;
use std::sync::Arc;
use std::time::Duration;

/// How often the servers hear of a worker, and how long without progress.
#[derive(Clone, Copy, Debug)]
pub struct Pulse {
    /// Between two signs of life.
    pub interval: Duration,
    /// How long a step may take before there are no more: a worker that hangs must not hold the
    /// others.
    pub step_timeout: Duration,
}

/// When a worker last moved: finished a step, or waited for the servers.
struct Moves {
    steps: u64,
    last: Duration,
}

impl Moves {
    /// Whether the worker moved within the time-out, given what it counts now.
    fn are_recent(&mut self, counters: &Counters, now: Duration, timeout: Duration) -> bool {
        if counters.steps() != self.steps || counters.is_exchanging() {
            (self.steps, self.last) = (counters.steps(), now);
        }
        now.saturating_sub(self.last) < timeout
    }
}

/// Tells the servers that this worker lives, as long as it finishes steps or waits for them.
pub async fn stay_alive(client: Arc<Client>, counters: Arc<Counters>, clock: Clock, pulse: Pulse) {
    let mut moves = Moves { steps: counters.steps(), last: clock.now() };
    loop {
        tokio::time::sleep(pulse.interval).await;
        if moves.are_recent(&counters, clock.now(), pulse.step_timeout) {
            client.alive(false).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PushReport;

    #[test]
    fn a_worker_that_hangs_is_no_longer_alive() {
        let counters = Counters::default();
        let mut moves = Moves { steps: 0, last: Duration::ZERO };
        let second = Duration::from_secs;
        let mut alive = |at| moves.are_recent(&counters, second(at), second(10));
        assert!(alive(9) && !alive(10), "no step yet");
        counters.stepped(1, 0.0, 1, &PushReport::default());
        assert!(alive(11) && alive(20) && !alive(21), "one step, then none");
        counters.set_exchanging(true);
        assert!(alive(100), "it waits for the servers, not for itself");
        counters.set_exchanging(false);
        assert!(alive(109) && !alive(110));
    }
}
