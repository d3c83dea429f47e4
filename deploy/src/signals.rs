//! Signals to psrun itself.

use anyhow::Context;
use ps_runtime::{Shutdown, Signal};
use tokio::signal::unix::{self, SignalKind};

/// Every wish that the job ends, also the second one.
pub(crate) struct Signals {
    shutdown: Option<Shutdown>,
    interrupt: unix::Signal,
    terminate: unix::Signal,
    /// The first signal also arrives through `shutdown`, which knows of our parent's end as well.
    first_seen: bool,
}

impl Signals {
    pub(crate) fn new(shutdown: Shutdown) -> anyhow::Result<Self> {
        let listen = |kind| unix::signal(kind).context("listening for signals");
        Ok(Self {
            shutdown: Some(shutdown),
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            first_seen: false,
        })
    }

    /// The signal that came while the job was being prepared.
    pub(crate) fn already(&self) -> Option<Signal> {
        self.shutdown.as_ref().and_then(Shutdown::signal)
    }

    /// The next one; cancelling loses none.
    pub(crate) async fn next(&mut self) -> Signal {
        loop {
            let signal = tokio::select! {
                biased;
                signal = first(&mut self.shutdown) => return signal,
                _ = self.interrupt.recv() => Signal::Interrupt,
                _ = self.terminate.recv() => Signal::Terminate,
            };
            if std::mem::replace(&mut self.first_seen, true) {
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
