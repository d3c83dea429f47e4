//! The pushes that are not acknowledged yet: their numbers, the oldest of them, and how many.

use ps_core::ids::{Clock, Seq};
use ps_core::limits::UNACKNOWLEDGED_PUSHES_MAX;
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Hands out push numbers and knows which are still open.
#[derive(Debug)]
pub(super) struct Outstanding {
    state: Mutex<State>,
    room: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    next: Seq,
    /// Open pushes and the steps that they end.
    open: BTreeMap<Seq, Clock>,
}

impl Default for Outstanding {
    fn default() -> Self {
        let room = Semaphore::new(UNACKNOWLEDGED_PUSHES_MAX as usize);
        Self { state: Mutex::default(), room }
    }
}

/// One push that is not acknowledged yet; dropping it, acknowledged or given up, closes it.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    seq: Seq,
    outstanding: &'a Outstanding,
    _room: Option<SemaphorePermit<'a>>,
}

impl Outstanding {
    /// The next push, as soon as there is room in the servers' windows.
    ///
    /// What is bounded is the span from the oldest open push to this one, not only their number.
    pub(super) async fn open(&self, clock: Clock) -> Ticket<'_> {
        let room = self.room.acquire().await.ok();
        let mut state = self.lock();
        let seq = state.next;
        state.next += 1;
        state.open.insert(seq, clock);
        Ticket { seq, outstanding: self, _room: room }
    }

    /// Up to which step everything is acknowledged, for a worker that is at this clock.
    pub(super) fn finished(&self, clock: Clock) -> Clock {
        self.lock().open.values().copied().min().unwrap_or(clock).min(clock)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Ticket<'_> {
    pub(super) fn seq(&self) -> Seq {
        self.seq
    }

    /// The oldest push that may still be retried.
    pub(super) fn oldest(&self) -> Seq {
        let state = self.outstanding.lock();
        state.open.first_key_value().map_or(self.seq, |(seq, _)| *seq)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.outstanding.lock().open.remove(&self.seq);
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
}
