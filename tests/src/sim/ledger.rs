//! What the simulated workers did, against which the final weights are checked.
//!
//! Every push ever computed has one element of the model of its own, in its worker's own tensor,
//! and its gradient is 1 there; with plain SGD at rate 1 the element counts how often the push was
//! applied. A push is known to be acknowledged when its worker has counted the step; the last pushes
//! of a worker that died or was superseded may have been applied or not, once at most. The weights
//! that a push is computed from show in the same way which pushes they are made of, and so how far
//! behind they are.

use ps_client::Counters;
use ps_core::coverage::Coverage;
use ps_core::ids::Clock;
use ps_core::{Layout, TensorSpec};
use ps_nn::{GradientSink, StepStart};
use ps_worker::compute::{Compute, ComputeError, Evaluation, SampleBatch};
use std::sync::{Arc, Mutex};

/// What is known of one push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its worker saw the acknowledgement: applied exactly once.
    Acknowledged,
    /// Its worker never saw one: applied once or not at all.
    Unknown,
}

/// One host's pushes, over all of its lives.
#[derive(Clone, Debug, Default)]
struct Account {
    fates: Vec<Fate>,
    /// The samples of each push that is made of the worker's own data.
    samples: Vec<Vec<u64>>,
    /// The step of each push that is known to be acknowledged.
    clocks: Vec<Option<Clock>>,
    /// Which pushes of which host were in the weights that each push was computed from.
    seen: Vec<Vec<Vec<bool>>>,
    process: Option<RunningProcess>,
}

/// A process whose pushes are not all settled yet.
#[derive(Clone, Debug)]
struct RunningProcess {
    counters: Arc<Counters>,
    /// Steps that it had counted when the account was last settled.
    steps: u64,
    /// Pushes computed and not known to be acknowledged, in order; some may have been given up.
    open: Vec<usize>,
}

/// The loss of a push, by which its worker's counts name it; all are the same to whoever watches
/// whether the job learns.
fn loss_of(push: usize) -> f64 {
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
    fn settle(&mut self) {
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

    /// Opens a push of a process with these counts.
    fn open(&mut self, counters: &Arc<Counters>) -> usize {
        self.settle();
        let push = self.fates.len();
        self.fates.push(Fate::Unknown);
        self.clocks.push(None);
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

/// The books of one run.
#[derive(Clone, Debug)]
pub struct Ledger {
    accounts: Arc<Mutex<Vec<Account>>>,
    shape: Shape,
}

/// How large the simulated job is.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Hosts that run a worker.
    pub hosts: usize,
    /// Pushes that one host can make in all of its lives.
    pub pushes_max: usize,
    /// Elements between two pushes' own elements: large, and a push spans many chunks.
    pub stride: usize,
    /// Training samples.
    pub samples: u64,
}

/// What is wrong with the final weights.
#[derive(Debug, PartialEq)]
pub struct Violation {
    /// Whose push.
    pub host: usize,
    /// Which of its pushes.
    pub push: usize,
    /// Where in the push's elements.
    pub element: usize,
    /// How often it was applied there.
    pub applied: f32,
    /// What its worker knows.
    pub fate: Option<Fate>,
}

impl Ledger {
    /// Empty books.
    pub fn new(shape: Shape) -> Self {
        let accounts = Arc::new(Mutex::new(vec![Account::default(); shape.hosts]));
        Self { accounts, shape }
    }

    /// A model with its data, for a worker process that starts on this host.
    pub fn compute(&self, host: usize, counters: Arc<Counters>) -> Box<dyn Compute> {
        let layout = self.layout();
        let own = layout.position(&name(host)).unwrap_or(0);
        let ledger = self.clone();
        Box::new(Counting { loaded: Vec::new(), host, layout, own, ledger, counters })
    }

    /// One tensor per host, and one that is always absent.
    pub fn layout(&self) -> Layout {
        let own =
            |host| TensorSpec::trainable(name(host), [self.shape.pushes_max * self.shape.stride]);
        let absent = TensorSpec::trainable("absent", [7]);
        let tensors = (0..self.shape.hosts).map(own).chain([absent]).collect();
        Layout::new(tensors).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The whole cluster died and goes on from a checkpoint: what was acknowledged since then is
    /// gone, and nobody learns any more what became of it.
    pub fn next_life(&self) {
        for account in self.lock().iter_mut() {
            account.fates.fill(Fate::Unknown);
            account.clocks.fill(None);
            account.process = None;
        }
    }

    /// The samples that are not in these weights as often as there were passes, and how often they
    /// are: each push that was applied stands for its samples.
    pub fn missing(&self, weights: &[f32], passes: u64) -> Vec<(u64, u64)> {
        let layout = self.layout();
        let mut counts = vec![0; self.shape.samples as usize];
        for (host, account) in self.lock().iter().enumerate() {
            let own = layout.position(&name(host)).map(|position| layout.range(position));
            let pushes = weights[own.unwrap_or(0..0)].chunks(self.shape.stride);
            for (elements, samples) in pushes.zip(&account.samples) {
                if elements.iter().all(|weight| *weight == -1.0) {
                    samples.iter().for_each(|sample| counts[*sample as usize] += 1);
                }
            }
        }
        (0..).zip(counts).filter(|(_, count)| *count < passes).collect()
    }

    /// Pushes made, and how many of them are known to be acknowledged.
    pub fn pushes(&self) -> (usize, usize) {
        let mut accounts = self.lock();
        accounts.iter_mut().for_each(Account::settle);
        let fates = accounts.iter().flat_map(|account| &account.fates);
        let acknowledged = fates.clone().filter(|fate| **fate == Fate::Acknowledged).count();
        (fates.count(), acknowledged)
    }

    /// How many steps the weights of some step were behind another worker's, or the worker's own,
    /// acknowledged push at the most: weights for step `t` without the push of step `c` are `t - c`
    /// behind, which the staleness bound bounds.
    pub fn lag(&self) -> u64 {
        let mut accounts = self.lock();
        accounts.iter_mut().for_each(Account::settle);
        let steps = accounts.iter().flat_map(|account| account.clocks.iter().zip(&account.seen));
        let behind = steps.filter_map(|(clock, seen)| Some(((*clock)?, seen))).map(|(at, seen)| {
            let clocks = accounts.iter().zip(seen).flat_map(|(account, seen)| {
                let was_seen = seen.iter().copied().chain(std::iter::repeat(false));
                account.clocks.iter().zip(was_seen)
            });
            let unseen = clocks.filter_map(|(clock, was_seen)| clock.filter(|_| !was_seen));
            unseen.map(|clock| at.saturating_sub(clock)).max().unwrap_or(0)
        });
        behind.max().unwrap_or(0)
    }

    /// Which pushes of which host these weights are made of.
    fn seen(&self, layout: &Layout, weights: &[f32]) -> Vec<Vec<bool>> {
        let stride = self.shape.stride;
        let is_in =
            |elements: &[f32]| [0, stride / 2, stride - 1].iter().all(|&at| elements[at] == -1.0);
        let pushes = |host: usize| {
            let own = layout.position(&name(host)).map(|position| layout.range(position));
            let all: Vec<bool> = weights[own.unwrap_or(0..0)].chunks(stride).map(is_in).collect();
            let last = all.iter().rposition(|is_in| *is_in).map_or(0, |last| last + 1);
            all[..last].to_vec()
        };
        (0..self.shape.hosts).map(pushes).collect()
    }

    /// Checks every element of the final weights; the first that is wrong.
    ///
    /// # Errors
    /// A push was applied twice, or lost although it was acknowledged, or never made.
    pub fn check(&self, weights: &[f32]) -> Result<(), Violation> {
        let layout = self.layout();
        let mut accounts = self.lock();
        accounts.iter_mut().for_each(Account::settle);
        for (host, account) in accounts.iter().enumerate() {
            let Some(position) = layout.position(&name(host)) else {
                continue;
            };
            let own = &weights[layout.range(position)];
            for (push, elements) in own.chunks(self.shape.stride).enumerate() {
                let fate = account.fates.get(push).copied();
                for (element, weight) in elements.iter().enumerate() {
                    let applied = -weight;
                    let is_right = match fate {
                        Some(Fate::Acknowledged) => applied == 1.0,
                        Some(Fate::Unknown) => applied == 0.0 || applied == 1.0,
                        None => applied == 0.0,
                    };
                    if !is_right {
                        return Err(Violation { host, push, element, applied, fate });
                    }
                }
            }
        }
        let absent = layout.position("absent").map(|position| layout.range(position));
        let moved = absent.is_some_and(|range| weights[range].iter().any(|weight| *weight != 0.0));
        if moved {
            let (host, push, element) = (usize::MAX, 0, 0);
            return Err(Violation { host, push, element, applied: f32::NAN, fate: None });
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Account>> {
        self.accounts.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn name(host: usize) -> String {
    format!("own.{host:02}")
}

/// A model whose gradients count pushes.
struct Counting {
    loaded: Vec<f32>,
    host: usize,
    layout: Layout,
    own: usize,
    ledger: Ledger,
    counters: Arc<Counters>,
}

impl Compute for Counting {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn start_weights(&mut self, _seed: u64) -> Result<Vec<f32>, ComputeError> {
        Ok(vec![0.0; self.layout.elements()])
    }

    fn train_samples(&self) -> u64 {
        self.ledger.shape.samples
    }

    fn load(&mut self, weights: &[f32]) -> Result<(), ComputeError> {
        self.loaded = weights.to_vec();
        Ok(())
    }

    fn gradient(
        &mut self,
        batch: SampleBatch,
        _seed: u64,
        mut into: Box<dyn GradientSink>,
    ) -> Result<(), ComputeError> {
        let shape = self.ledger.shape;
        let seen = self.ledger.seen(&self.layout, &self.loaded);
        let mut accounts = self.ledger.lock();
        let account = &mut accounts[self.host];
        let push = account.open(&self.counters);
        if push >= shape.pushes_max {
            return Err(ComputeError(format!("host {} made {push} pushes", self.host)));
        }
        account.seen.push(seen);
        account.samples.push(match &batch {
            SampleBatch::Numbers(numbers) => numbers.clone(),
            SampleBatch::Values { .. } => Vec::new(),
        });
        let own = self.layout.range(self.own).len();
        let mut gradient = vec![0.0; own];
        gradient[push * shape.stride..][..shape.stride].fill(1.0);
        let mut coverage = vec![Coverage::Absent; self.layout.tensors().len()];
        coverage[self.own] = Coverage::Whole;
        let (loss, samples) = (loss_of(push), batch.samples() as u64);
        into.begin(StepStart { loss, samples, coverage });
        into.finished(self.own, gradient);
        Ok(())
    }

    fn evaluate(&mut self, weights: &[f32]) -> Result<Evaluation, ComputeError> {
        let applied: f32 = weights.iter().sum();
        Ok(Evaluation { loss: f64::from(-applied), accuracy: None, samples: 1 })
    }
}
