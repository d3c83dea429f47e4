//! The wish that a process ends, as an argument.

use tokio::sync::watch;

/// What asked the process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// `kill`, `docker stop`, an orchestrator.
    Terminate,
    /// The process that started this one is gone and has not said why: it was killed.
    ParentGone,
}

impl Signal {
    /// What a process exits with after it saved: 128 + the signal's number. That a parent was killed is
    /// nobody's wish.
    pub fn exit_code(self) -> u8 {
        match self {
            Signal::Interrupt => 130,
            Signal::Terminate => 143,
            Signal::ParentGone => 1,
        }
    }
}

/// Tells any number of tasks about the first signal.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<Option<Signal>>);

/// Gives the signal.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<Option<Signal>>);

impl ShutdownTrigger {
    /// Gives the signal; only the first one counts.
    pub fn trigger(&self, signal: Signal) {
        self.0.send_if_modified(|current| match current {
            None => {
                *current = Some(signal);
                true
            }
            Some(_) => false,
        });
    }
}

impl Shutdown {
    /// A shutdown and its trigger. When the trigger is dropped, no signal ever comes.
    pub fn new() -> (ShutdownTrigger, Self) {
        let (sender, receiver) = watch::channel(None);
        (ShutdownTrigger(sender), Self(receiver))
    }

    /// The signal, if it was given.
    pub fn signal(&self) -> Option<Signal> {
        *self.0.borrow()
    }

    /// Waits for the signal.
    pub async fn wait(&mut self) -> Signal {
        loop {
            if let Some(signal) = self.signal() {
                return signal;
            }
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_signal_counts() {
        let (trigger, mut shutdown) = Shutdown::new();
        assert_eq!(shutdown.signal(), None);
        trigger.trigger(Signal::Terminate);
        trigger.trigger(Signal::Interrupt);
        drop(trigger);
        assert_eq!(shutdown.wait().await, Signal::Terminate);
        assert_eq!(shutdown.wait().await.exit_code(), 143);
    }
}
