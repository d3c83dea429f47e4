//! The pushes that are not acknowledged yet: their numbers, the oldest of them, and how many.

use ps_core::ids::{Clock, Seq};
use ps_core::limits::UNACKNOWLEDGED_PUSHES_MAX;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Hands out push numbers and knows which are still open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outstanding(Arc<Pushes>);

#[derive(Debug, Default)]
struct Pushes {
    state: Mutex<State>,
    closed: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: Seq,
    /// Open pushes and the steps that they end.
    open: BTreeMap<Seq, Clock>,
}

impl State {
    fn open(&mut self, clock: Clock) -> Option<Seq> {
        let seq = self.next;
        let oldest = self.open.first_key_value().map_or(seq, |(oldest, _)| *oldest);
        if seq - oldest >= UNACKNOWLEDGED_PUSHES_MAX {
            return None;
        }
        self.next += 1;
        self.open.insert(seq, clock);
        Some(seq)
    }
}

/// One push that is not acknowledged yet; dropping it, acknowledged or given up, closes it.
#[derive(Debug)]
pub(crate) struct Ticket {
    seq: Seq,
    outstanding: Outstanding,
}

impl Outstanding {
    /// The next push, as soon as there is room in the servers' windows.
    ///
    /// What is bounded is the span from the oldest open push to this one, not only their number.
    pub(crate) async fn open(&self, clock: Clock) -> Ticket {
        loop {
            // Before the look, so that a push that closes in between is not missed.
            let closed = self.0.closed.notified();
            if let Some(seq) = self.lock().open(clock) {
                return Ticket { seq, outstanding: self.clone() };
            }
            closed.await;
        }
    }

    /// Up to which step everything is acknowledged, for a worker that is at this clock.
    pub(crate) fn finished(&self, clock: Clock) -> Clock {
        self.lock().open.values().copied().min().unwrap_or(clock).min(clock)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Ticket {
    pub(crate) fn seq(&self) -> Seq {
        self.seq
    }

    /// The oldest push that may still be retried.
    pub(crate) fn oldest(&self) -> Seq {
        let state = self.outstanding.lock();
        state.open.first_key_value().map_or(self.seq, |(seq, _)| *seq)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.outstanding.lock().open.remove(&self.seq);
        self.outstanding.0.closed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_open_push_is_known() {
        let outstanding = Outstanding::default();
        let first = outstanding.open(4).await;
        let second = outstanding.open(4).await;
        assert_eq!((first.seq(), second.seq(), second.oldest()), (0, 1, 0));
        assert_eq!(outstanding.finished(9), 4);
        drop(first);
        assert_eq!(second.oldest(), 1);
        drop(second);
        assert_eq!(outstanding.finished(9), 9);
    }

    #[tokio::test]
    async fn one_slow_push_bounds_how_far_the_others_run_ahead() {
        let outstanding = Outstanding::default();
        let slow = outstanding.open(0).await;
        for clock in 1..UNACKNOWLEDGED_PUSHES_MAX {
            drop(outstanding.open(clock).await);
        }
        let mut next = std::pin::pin!(outstanding.open(0));
        let wait = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(wait, &mut next).await.is_err());
        drop(slow);
        assert_eq!(next.await.seq(), UNACKNOWLEDGED_PUSHES_MAX);
    }
}
