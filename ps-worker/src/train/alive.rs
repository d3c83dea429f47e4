//! Signs of life to the servers of a job without a master.

use super::Counters;
use crate::client::Client;
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

/// Tells the servers that this worker lives, as long as it finishes steps or waits for them.
pub(crate) async fn stay_alive(
    client: Arc<Client>,
    counters: Arc<Counters>,
    clock: Clock,
    pulse: Pulse,
) {
    let (mut steps, mut moved) = (counters.steps(), clock.now());
    loop {
        tokio::time::sleep(pulse.interval).await;
        let now = clock.now();
        if counters.steps() != steps || counters.is_exchanging() {
            (steps, moved) = (counters.steps(), now);
        }
        if now.saturating_sub(moved) < pulse.step_timeout {
            client.alive(false).await;
        }
    }
}
