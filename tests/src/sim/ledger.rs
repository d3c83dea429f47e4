//! What the simulated workers did, against which the final weights are checked.
//!
//! Every push ever computed has one element of the model of its own, in its worker's own tensor,
//! and its gradient is 1 there; with plain SGD at rate 1 the element counts how often the push was
//! applied. A push is known to be acknowledged when its worker has counted the step; the last pushes
//! of a worker that died or was superseded may have been applied or not, once at most. The weights
//! that a push is computed from show in the same way which pushes they are made of, and so how far
//! behind they are.

mod account;
mod counting;
mod lag;
mod moment;

use account::Account;
use counting::Counting;
use ps_client::Counters;
use ps_core::{Layout, TensorKind, TensorSpec};
use ps_worker::compute::Compute;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// What is known of one push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its worker saw the acknowledgement: applied exactly once.
    Acknowledged,
    /// Its worker never saw one: applied once or not at all.
    Unknown,
}

/// The books of one run.
#[derive(Clone, Debug)]
pub struct Ledger {
    accounts: Arc<Mutex<Vec<Account>>>,
    /// The first weights that lacked a worker's own running statistics.
    outdated: Arc<Mutex<Option<String>>>,
    /// Shards that went back to a checkpoint.
    behind: Arc<Mutex<BTreeMap<u32, Behind>>>,
    /// Whether nothing may be missing even there.
    forgives_nothing: bool,
    shape: Shape,
}

/// Elements that went back to a checkpoint, of which all that is known is that nothing is in them twice; and, of each host, how
/// often it had registered by then: what it pushed afterwards is there.
#[derive(Clone, Debug)]
struct Behind {
    elements: Range<usize>,
    registered: Vec<usize>,
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
    /// Elements of a host's running statistics, which it replaces in each step.
    pub state: usize,
}

/// What is wrong with the final weights.
#[derive(Clone, Debug, PartialEq)]
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

impl Violation {
    /// Whether the push is not there although it was acknowledged; else it is there too often.
    pub fn is_lost(&self) -> bool {
        self.applied < 1.0
    }
}

impl Ledger {
    /// Empty books.
    pub fn new(shape: Shape) -> Self {
        let accounts = Arc::new(Mutex::new(vec![Account::default(); shape.hosts]));
        Self {
            accounts,
            outdated: Arc::default(),
            behind: Arc::default(),
            forgives_nothing: false,
            shape,
        }
    }

    /// The same, and what is missing is wrong even where a shard went back to a checkpoint: to see that something is.
    #[must_use]
    pub fn forgiving_nothing(self) -> Self {
        Self { forgives_nothing: true, ..self }
    }

    /// A model with its data, for a worker process that starts on this host and has so many exchanges
    /// under way while it computes.
    pub fn compute(&self, host: usize, depth: u64, counters: Arc<Counters>) -> Box<dyn Compute> {
        let layout = self.layout();
        let own = layout.position(&name(host)).unwrap_or(0);
        let state = layout.position(&state_name(host));
        let ledger = self.clone();
        Box::new(Counting { loaded: Vec::new(), host, layout, own, state, depth, ledger, counters })
    }

    /// One tensor per host, and one that is always absent.
    pub fn layout(&self) -> Layout {
        let own =
            |host| TensorSpec::trainable(name(host), [self.shape.pushes_max * self.shape.stride]);
        let absent = TensorSpec::trainable("absent", [7]);
        let state = |host| TensorSpec {
            name: state_name(host),
            shape: vec![self.shape.state],
            kind: TensorKind::State,
        };
        let states = (0..self.shape.hosts).filter(|_| self.shape.state > 0).map(state);
        let tensors = (0..self.shape.hosts).map(own).chain([absent]).chain(states).collect();
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

    /// The server of a shard, which has these elements, died and is about to go back to a checkpoint, alone. All workers register
    /// anew before they push to it again.
    pub fn goes_back(&self, shard: u32, elements: Range<usize>) {
        let registered = self.lock().iter().map(|account| account.registered).collect();
        super::lock::lock(&self.behind).insert(shard, Behind { elements, registered });
    }

    /// Whether a push of a registration may be missing in an element that went back.
    fn may_be_behind(&self, host: usize, registration: Option<&usize>, element: usize) -> bool {
        if self.forgives_nothing {
            return false;
        }
        let behind = super::lock::lock(&self.behind);
        let mut holding = behind.values().filter(|behind| behind.elements.contains(&element));
        holding.any(|behind| registration.is_some_and(|made| *made <= behind.registered[host]))
    }

    /// The master or all servers died: what was made until now, and what is made from now on before its
    /// worker registers anew, is of a life that is over.
    pub fn end_life(&self) {
        for account in self.lock().iter_mut() {
            account.over = account.registered;
            account.clocks.fill(None);
        }
    }

    /// Checks what lives that are over have left in these weights: exactly what was restored.
    ///
    /// # Errors
    /// The first push that was applied later, or lost although it was restored.
    pub fn check_over(&self, weights: &[f32], restored: &[f32]) -> Result<(), String> {
        let layout = self.layout();
        for (host, account) in self.lock().iter().enumerate() {
            let own = layout.position(&name(host)).map(|position| layout.range(position));
            let own = own.unwrap_or(0..0);
            let pushes = weights[own.clone()].chunks(self.shape.stride);
            let pushes = pushes.zip(restored[own].chunks(self.shape.stride)).enumerate();
            for (push, (found, expected)) in pushes.take(account.registrations.len()) {
                if account.registrations[push] <= account.over && found != expected {
                    return Err(format!(
                        "host {host} push {push} is of a life that is over: {:?} in the model, {:?} in \
                         what was restored",
                        found[0], expected[0]
                    ));
                }
            }
        }
        Ok(())
    }

    /// The first weights that lacked a worker's own running statistics.
    pub fn outdated(&self) -> Option<String> {
        super::lock::lock(&self.outdated).clone()
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
                let is_over =
                    account.registrations.get(push).is_some_and(|made| *made <= account.over);
                let fate = account.fates.get(push).copied();
                let fate = if is_over { fate.map(|_| Fate::Unknown) } else { fate };
                let start = layout.range(position).start + push * self.shape.stride;
                for (element, weight) in elements.iter().enumerate() {
                    let applied = -weight;
                    let registration = account.registrations.get(push);
                    let is_behind = self.may_be_behind(host, registration, start + element);
                    let is_right = match fate {
                        Some(_) if is_behind => applied == 0.0 || applied == 1.0,
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

fn state_name(host: usize) -> String {
    format!("running.{host:02}")
}

fn name(host: usize) -> String {
    format!("own.{host:02}")
}
