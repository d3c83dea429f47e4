//! The numbers of the samples of a lease or a pass, batch by batch.

use ps_core::SampleOrder;
use std::ops::Range;

/// Numbers of samples, in batches, each of which is made when it is asked for: a lease may have billions.
pub(super) struct SampleNumbers {
    order: SampleOrder,
    /// Places in the order that are yet to come.
    places: Range<u64>,
    batch_size: u64,
}

impl SampleNumbers {
    /// Those at these places of a pass; none where the samples do not reach so far.
    pub(super) fn new(order: SampleOrder, places: Range<u64>, batch_size: usize) -> Self {
        let places = places.start..places.end.min(order.samples());
        Self { order, places, batch_size: batch_size.max(1) as u64 }
    }
}

impl Iterator for SampleNumbers {
    type Item = Vec<u64>;

    fn next(&mut self) -> Option<Vec<u64>> {
        let Range { start, end } = self.places;
        if start >= end {
            return None;
        }
        self.places.start = start.saturating_add(self.batch_size).min(end);
        Some(self.order.at(start..self.places.start).collect())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.places.end.saturating_sub(self.places.start).div_ceil(self.batch_size);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        (left, Some(left))
    }
}

impl ExactSizeIterator for SampleNumbers {}

#[cfg(test)]
mod tests {
    use super::*;
    use ps_core::limits::SAMPLES_MAX;

    #[test]
    fn batches_are_the_places_of_the_order_one_after_another() {
        let order = SampleOrder::new(1, 2, 3, 100);
        let mut numbers = SampleNumbers::new(order, 10..95, 20);
        assert_eq!(numbers.len(), 5);
        let first = numbers.next().unwrap();
        assert_eq!((first.len(), numbers.len()), (20, 4));
        let all: Vec<u64> = first.into_iter().chain(numbers.flatten()).collect();
        assert_eq!(all, order.at(10..95).collect::<Vec<u64>>());
    }

    #[test]
    fn what_is_beyond_the_samples_is_nothing() {
        let order = SampleOrder::new(1, 2, 3, 10);
        assert_eq!(SampleNumbers::new(order, 8..30, 4).map(|batch| batch.len()).sum::<usize>(), 2);
        for places in [10..12, 20..30, Range { start: 5, end: 3 }] {
            let mut none = SampleNumbers::new(order, places, 4);
            assert_eq!((none.len(), none.next()), (0, None));
        }
    }

    /// Found by review: the order of a pass was made and kept whole, in 32 bits a sample, which took so long that it had
    /// to be done beside the thread that sends heartbeats.
    #[test]
    fn regression_a_lease_on_more_samples_than_memory_begins_at_once() {
        let order = SampleOrder::new(1, 0, 0, SAMPLES_MAX);
        let mut numbers = SampleNumbers::new(order, 0..SAMPLES_MAX, 32);
        assert_eq!(numbers.len() as u64, SAMPLES_MAX / 32);
        let first = numbers.next().unwrap();
        assert_eq!(first.len(), 32);
        assert!(first.iter().any(|number| *number > u64::from(u32::MAX)));
    }
}
