//! The model of the simulated workers.

use super::Ledger;
use super::account::loss_of;
use crate::sim::lock::lock;
use ps_client::Counters;
use ps_core::Layout;
use ps_core::coverage::Coverage;
use ps_nn::{GradientSink, StepStart};
use ps_worker::compute::{Compute, ComputeError, Evaluation, SampleBatch};
use std::sync::Arc;

/// A model whose gradients count pushes.
pub(super) struct Counting {
    pub(super) loaded: Vec<f32>,
    pub(super) host: usize,
    pub(super) layout: Layout,
    pub(super) own: usize,
    pub(super) state: Option<usize>,
    pub(super) depth: u64,
    pub(super) ledger: Ledger,
    pub(super) counters: Arc<Counters>,
}

impl Counting {
    /// A worker reads its own writes: the running statistics that it loads are those of the newest step
    /// that it has exchanged in this registration, or of a later one.
    fn check_state(&self) {
        let Some(state) = self.state else { return };
        let accounts = self.ledger.lock();
        let account = &accounts[self.host];
        let made = account.registrations.iter().enumerate();
        let own: Vec<usize> = made
            .filter(|(_, registration)| **registration == account.registered)
            .map(|(push, _)| push)
            .collect();
        let Some(exchanged) = own.len().checked_sub(1 + self.depth as usize) else { return };
        let expected = state_of(own[exchanged]);
        let found = &self.loaded[self.layout.range(state)];
        if found.iter().any(|value| *value < expected) {
            let (host, push) = (self.host, own.len());
            let words = format!("host {host} step {push}: statistics {found:?}, not {expected}");
            lock(&self.ledger.outdated).get_or_insert(words);
        }
    }
}

/// The running statistics after a push.
fn state_of(push: usize) -> f32 {
    (push + 1) as f32
}

impl Compute for Counting {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn freeze(&mut self, tensors: &[bool]) -> Result<(), ComputeError> {
        assert!(!tensors.contains(&true), "every tensor of this model is counted");
        Ok(())
    }

    fn start_weights(&mut self, _seed: u64) -> Result<Vec<f32>, ComputeError> {
        self.ledger.lock()[self.host].registered += 1;
        Ok(vec![0.0; self.layout.elements()])
    }

    fn train_samples(&self) -> u64 {
        self.ledger.shape.samples
    }

    fn load(&mut self, weights: &[f32]) -> Result<(), ComputeError> {
        self.loaded = weights.to_vec();
        self.check_state();
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
        let order = accounts.iter().map(|account| account.orders.len() as u64).sum();
        let account = &mut accounts[self.host];
        let push = account.open(&self.counters, order);
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
        self.state.iter().for_each(|state| coverage[*state] = Coverage::Whole);
        let (loss, samples) = (loss_of(push), batch.samples() as u64);
        into.begin(StepStart { loss, samples, coverage });
        if let Some(state) = self.state {
            into.finished(state, vec![state_of(push); shape.state]);
        }
        into.finished(self.own, gradient);
        Ok(())
    }

    fn evaluate(&mut self, weights: &[f32]) -> Result<Evaluation, ComputeError> {
        let own = self.layout.position("absent").map_or(0, |at| self.layout.range(at).start);
        let applied: f32 = weights[..own].iter().sum();
        Ok(Evaluation {
            loss: f64::from(-applied),
            accuracy: None,
            measures: Vec::new(),
            samples: 1,
        })
    }
}
