//! What is known of the pushes of one host.

use super::Fate;
use ps_client::Counters;
use ps_core::ids::Clock;
use std::sync::Arc;

/// One host's pushes, over all of its lives.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    pub(super) fates: Vec<Fate>,
    /// The samples of each push that is made of the worker's own data.
    pub(super) samples: Vec<Vec<u64>>,
    /// The step of each push that is known to be acknowledged.
    pub(super) clocks: Vec<Option<Clock>>,
    /// Which pushes of which host were in the weights that each push was computed from.
    pub(super) seen: Vec<Vec<Vec<bool>>>,
    pub(super) process: Option<RunningProcess>,
    /// The place of each push among those of all hosts.
    pub(super) orders: Vec<u64>,
    /// In which of the host's registrations each push was made.
    pub(super) registrations: Vec<usize>,
    /// How often the host has registered, and how many of them were in lives that are over.
    pub(super) registered: usize,
    pub(super) over: usize,
}

/// A process whose pushes are not all settled yet.
#[derive(Clone, Debug)]
pub(super) struct RunningProcess {
    counters: Arc<Counters>,
    /// Steps that it had counted when the account was last settled.
    steps: u64,
    /// Pushes computed and not known to be acknowledged, in order; some may have been given up.
    open: Vec<usize>,
}

/// The loss of a push, by which its worker's counts name it; all are the same to whoever watches
/// whether the job learns.
pub(super) fn loss_of(push: usize) -> f64 {
    1.0 + push as f64 / LOSSES
}

fn push_of(loss: f64) -> usize {
    ((loss - 1.0) * LOSSES).round() as usize
}

/// A power of two, so that no loss is rounded.
const LOSSES: f64 = (1_u64 << 32) as f64;

impl Account {
    /// Looks which steps the worker has counted since the last look.
    ///
    /// Steps are counted in order. What is given up is given up together, and a push is computed
    /// only after a look, so that the steps counted since the last one are some open pushes in a
    /// row, up to the one that was counted last.
    pub(super) fn settle(&mut self) {
        let Some(process) = &mut self.process else {
            return;
        };
        let (counted, clock) = (process.counters.to_wire(), process.counters.clock());
        let new = (counted.steps - process.steps) as usize;
        let last = push_of(counted.loss_last);
        let Some(end) = process.open.iter().position(|push| *push == last).filter(|_| new > 0)
        else {
            return;
        };
        for (back, push) in process.open[end + 1 - new..=end].iter().rev().enumerate() {
            self.fates[*push] = Fate::Acknowledged;
            // After a worker has registered anew its clock is 0, and its last steps' are forgotten.
            self.clocks[*push] = clock.checked_sub(1 + back as u64);
        }
        process.open.drain(..=end);
        process.steps = counted.steps;
    }

    /// Opens a push of a process with these counts, after so many of all hosts.
    pub(super) fn open(&mut self, counters: &Arc<Counters>, order: u64) -> usize {
        self.settle();
        let push = self.fates.len();
        self.orders.push(order);
        self.fates.push(Fate::Unknown);
        self.clocks.push(None);
        self.registrations.push(self.registered);
        let is_same = |process: &&mut RunningProcess| Arc::ptr_eq(&process.counters, counters);
        match self.process.as_mut().filter(is_same) {
            Some(process) => process.open.push(push),
            None => {
                let (counters, steps) = (counters.clone(), counters.steps());
                self.process = Some(RunningProcess { counters, steps, open: vec![push] });
            }
        }
        push
    }
}
