//! The order of the samples of each source.

use ps_core::permutation_of;
use ps_proto::v1;
use std::collections::BTreeMap;

/// The order of each source's samples in the pass that the worker is in.
#[derive(Debug, Default)]
pub(super) struct SampleOrders {
    seed: u64,
    /// By source: of which pass, and the numbers of its samples.
    orders: BTreeMap<u32, (u64, Vec<u32>)>,
}

impl SampleOrders {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, orders: BTreeMap::new() }
    }

    /// The samples of a lease, by their numbers.
    pub(super) fn lease(&mut self, task: &v1::TrainTask) -> Vec<u32> {
        let make = || {
            let samples = u32::try_from(task.source_samples).unwrap_or(u32::MAX);
            (task.pass, permutation_of(self.seed, task.pass, task.source, samples))
        };
        let order = self.orders.entry(task.source).or_insert_with(make);
        if order.0 != task.pass || order.1.len() as u64 != task.source_samples {
            *order = make();
        }
        let (start, end) = (task.start as usize, task.end as usize);
        order.1.get(start..end).unwrap_or_default().to_vec()
    }
}
