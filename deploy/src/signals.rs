//! Signals to psrun itself.

use anyhow::Context;
use ps_cli::process::ONE_WISH;
use ps_runtime::{Shutdown, Signal};
use tokio::signal::unix::{self, SignalKind};
use tokio::time::Instant;

/// Every wish that the job ends, also the second one.
pub(crate) struct Signals {
    shutdown: Option<Shutdown>,
    interrupt: unix::Signal,
    terminate: unix::Signal,
    /// When the first signal came, which also arrives through `shutdown`, which knows of our parent's end as well.
    first_at: Option<Instant>,
}

impl Signals {
    pub(crate) fn new(shutdown: Shutdown) -> anyhow::Result<Self> {
        let listen = |kind| unix::signal(kind).context("listening for signals");
        Ok(Self {
            shutdown: Some(shutdown),
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            first_at: None,
        })
    }

    /// The signal that came while the job was being prepared.
    pub(crate) fn already(&self) -> Option<Signal> {
        self.shutdown.as_ref().and_then(Shutdown::signal)
    }

    /// The next wish; cancelling loses none.
    pub(crate) async fn next(&mut self) -> Signal {
        loop {
            let signal = tokio::select! {
                biased;
                signal = first(&mut self.shutdown) => {
                    self.first_at.get_or_insert_with(Instant::now);
                    return signal;
                }
                _ = self.interrupt.recv() => Signal::Interrupt,
                _ = self.terminate.recv() => Signal::Terminate,
            };
            if self.first_at.get_or_insert_with(Instant::now).elapsed() >= ONE_WISH {
                return signal;
            }
        }
    }
}

/// What `shutdown` tells, once.
async fn first(shutdown: &mut Option<Shutdown>) -> Signal {
    let Some(waiting) = shutdown else {
        return std::future::pending().await;
    };
    let signal = waiting.wait().await;
    *shutdown = None;
    signal
}
