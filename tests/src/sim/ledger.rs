//! What the simulated workers did, against which the final weights are checked.
//!
//! Every push ever computed has one element of the model of its own, in its worker's own tensor,
//! and its gradient is 1 there; with plain SGD at rate 1 the element counts how often the push was
//! applied. A push is known to be acknowledged when its worker has counted the step; the last push
//! of a worker that died or was superseded may have been applied or not, once at most.

use ps_core::{Layout, TensorSpec};
use ps_worker::compute::{Batch, Compute, ComputeError, Evaluation, Step};
use ps_worker::train::Counters;
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
    open: Option<Open>,
}

/// A push whose fate is not settled yet.
#[derive(Clone, Debug)]
struct Open {
    push: usize,
    /// Steps that its worker had counted when the push was computed.
    steps_before: u64,
    counters: Arc<Counters>,
}

impl Account {
    /// Looks whether the worker has counted the step of its open push.
    fn settle(&mut self) {
        if let Some(open) = &self.open
            && open.counters.steps() > open.steps_before
        {
            self.fates[open.push] = Fate::Acknowledged;
        }
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
        Box::new(Counting { host, layout, own, ledger, counters })
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
            account.open = None;
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

    fn gradient(&mut self, _weights: &[f32], batch: &Batch) -> Result<Step, ComputeError> {
        let shape = self.ledger.shape;
        let mut accounts = self.ledger.lock();
        let account = &mut accounts[self.host];
        account.settle();
        let push = account.fates.len();
        if push >= shape.pushes_max {
            return Err(ComputeError(format!("host {} made {push} pushes", self.host)));
        }
        account.fates.push(Fate::Unknown);
        account.samples.push(match batch {
            Batch::Numbers(numbers) => numbers.clone(),
            Batch::Values { .. } => Vec::new(),
        });
        let (steps_before, counters) = (self.counters.steps(), self.counters.clone());
        account.open = Some(Open { push, steps_before, counters });
        let mut gradient = vec![0.0; self.layout.elements()];
        let first = self.layout.range(self.own).start + push * shape.stride;
        gradient[first..first + shape.stride].fill(1.0);
        let mut present = vec![false; self.layout.tensors().len()];
        present[self.own] = true;
        Ok(Step { gradient, present, loss: 1.0, samples: batch.samples() as u64 })
    }

    fn evaluate(&mut self, weights: &[f32]) -> Result<Evaluation, ComputeError> {
        let applied: f32 = weights.iter().sum();
        Ok(Evaluation { loss: f64::from(-applied), accuracy: None, samples: 1 })
    }
}
