//! The order of the samples of each source.

use crate::compute::{ComputeError, ComputeOn};
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

    /// The samples of a lease, by their numbers. Beside the thread that asks: of many samples an order takes longer than
    /// a heartbeat may be late.
    ///
    /// # Errors
    /// The computation panicked.
    pub(super) async fn lease(
        &mut self,
        task: &v1::TrainTask,
        compute_on: ComputeOn,
    ) -> Result<Vec<u32>, ComputeError> {
        let known = self.orders.get(&task.source);
        let is_known = known.is_some_and(|(pass, order)| {
            *pass == task.pass && order.len() as u64 == task.source_samples
        });
        if !is_known {
            // One order at a time is held.
            self.orders.remove(&task.source);
            let samples = u32::try_from(task.source_samples).unwrap_or(u32::MAX);
            let (seed, pass, source) = (self.seed, task.pass, task.source);
            let make = move |(): &mut ()| permutation_of(seed, pass, source, samples);
            let ((), order) = compute_on.run((), make).await?;
            self.orders.insert(source, (pass, order));
        }
        let (start, end) = (task.start as usize, task.end as usize);
        let order = self.orders.get(&task.source).map(|(_, order)| order.as_slice());
        Ok(order.and_then(|order| order.get(start..end)).unwrap_or_default().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn task(pass: u64, samples: u64) -> v1::TrainTask {
        let (start, end) = (0, 3.min(samples));
        v1::TrainTask { pass, start, end, source_samples: samples, ..v1::TrainTask::default() }
    }

    /// Found by review: the order of a pass was made on the thread that sends heartbeats.
    #[tokio::test]
    async fn regression_an_order_is_made_beside_the_thread_that_beats() {
        let mut orders = SampleOrders::new(1);
        let task = task(0, 3_000_000);
        let mut beats = 0;
        let start = Instant::now();
        let order = {
            let mut order = std::pin::pin!(orders.lease(&task, ComputeOn::Thread));
            loop {
                tokio::select! {
                    biased;
                    order = &mut order => break order.unwrap(),
                    () = tokio::time::sleep(Duration::from_millis(1)) => beats += 1,
                }
            }
        };
        assert_eq!(order, permutation_of(1, 0, 0, 3_000_000)[..3]);
        assert!(beats > 0, "nobody else had a turn in {:?}", start.elapsed());
    }

    #[tokio::test]
    async fn each_pass_has_its_order_whoever_asks_twice() {
        let mut orders = SampleOrders::new(7);
        for pass in [0, 0, 1, 0] {
            let found = orders.lease(&task(pass, 10), ComputeOn::Task).await.unwrap();
            assert_eq!(found, permutation_of(7, pass, 0, 10)[..3]);
        }
    }
}
