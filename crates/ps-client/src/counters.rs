//! What a worker counted, shared between its step and its heartbeat.

use crate::config::Traffic;
use crate::report::PushReport;
use ps_proto::v1;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The counts of one worker process.
#[derive(Debug, Default)]
pub struct Counters {
    counts: Mutex<Counts>,
    exchanging: AtomicBool,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    wire: v1::WorkerCounters,
    clock: u64,
    staleness: BTreeMap<u64, u64>,
}

impl Counters {
    /// A new registration begins: its clock is not that of the one before.
    pub fn begin_registration(&self) {
        self.lock().clock = 0;
    }

    /// Whether the worker waits for servers.
    pub fn is_exchanging(&self) -> bool {
        self.exchanging.load(Ordering::Relaxed)
    }

    /// Counts a finished step.
    pub fn stepped(&self, samples: u64, loss: f64, clock: u64, report: &PushReport) {
        let mut counts = self.lock();
        counts.wire.steps += 1;
        counts.wire.samples += samples;
        counts.wire.loss_last = loss;
        counts.wire.chunks_refused += report.chunks_refused;
        counts.clock = clock;
        *counts.staleness.entry(report.staleness).or_default() += 1;
    }

    /// Counts time spent computing and exchanging.
    pub fn spent(&self, computing: Duration, exchanging: Duration) {
        let mut counts = self.lock();
        counts.wire.seconds_computing += computing.as_secs_f64();
        counts.wire.seconds_exchanging += exchanging.as_secs_f64();
    }

    /// Takes over what the client counted.
    pub fn take_traffic(&self, traffic: &Traffic) {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        let mut counts = self.lock();
        counts.wire.bytes_pushed += take(&traffic.bytes_pushed);
        counts.wire.bytes_pulled += take(&traffic.bytes_pulled);
        counts.wire.pushes_retried += take(&traffic.retries);
    }

    /// Steps whose push was acknowledged by every server.
    pub fn steps(&self) -> u64 {
        self.lock().wire.steps
    }

    /// The clock after the last step.
    pub fn clock(&self) -> u64 {
        self.lock().clock
    }

    /// The counts as the wire carries them.
    pub fn to_wire(&self) -> v1::WorkerCounters {
        let counts = self.lock();
        let mut wire = counts.wire.clone();
        let pushes = counts.staleness.iter();
        wire.staleness =
            pushes.map(|(&staleness, &pushes)| v1::StalenessCount { staleness, pushes }).collect();
        wire
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks the time that a worker waits for servers, until it is dropped.
pub struct Waiting<'a>(&'a Counters);

impl<'a> Waiting<'a> {
    /// Marks it from now on.
    pub fn new(counters: &'a Counters) -> Self {
        counters.exchanging.store(true, Ordering::Relaxed);
        Self(counters)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.exchanging.store(false, Ordering::Relaxed);
    }
}
