//! Batches that are made before the steps that compute on them.

use super::error::Error;
use super::sample_client::SampleClient;
use crate::compute::{ComputeError, SampleBatch};
use ps_data::limits::BATCHES_AHEAD_MAX;
use ps_data::{SampleSet, Shift};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The batches of one lease or pass, in their order.
pub(super) struct Prefetcher {
    batches: mpsc::Receiver<Result<SampleBatch, Error>>,
    left: u64,
    /// Ends when this is dropped; a thread does after the batch that it is making.
    _maker: JoinSet<()>,
}

impl Prefetcher {
    /// Gathers these batches of samples on a thread of their own.
    pub(super) fn gather(
        samples: Arc<dyn SampleSet>,
        shift: Option<Shift>,
        numbers: impl ExactSizeIterator<Item = Vec<u64>> + Send + 'static,
    ) -> Self {
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD_MAX);
        let (left, mut maker) = (numbers.len() as u64, JoinSet::new());
        maker.spawn_blocking(move || {
            for numbers in numbers {
                let batch = gather(&*samples, shift.as_ref(), &numbers);
                let is_last = batch.is_err();
                if sender.blocking_send(batch).is_err() || is_last {
                    return;
                }
            }
        });
        Self { batches, left, _maker: maker }
    }

    /// Fetches these batches of samples from the process that has them.
    pub(super) fn fetch(
        client: SampleClient,
        numbers: impl ExactSizeIterator<Item = Vec<u64>> + Send + 'static,
    ) -> Self {
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD_MAX);
        let (left, mut maker) = (numbers.len() as u64, JoinSet::new());
        maker.spawn(async move {
            for numbers in numbers {
                let batch = client.fetch(&numbers).await;
                let is_last = batch.is_err();
                if sender.send(batch).await.is_err() || is_last {
                    return;
                }
            }
        });
        Self { batches, left, _maker: maker }
    }

    /// The next one; `None` after the last.
    ///
    /// # Errors
    /// The samples of this batch could not be had.
    pub(super) async fn next(&mut self) -> Result<Option<SampleBatch>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        let lost = || ComputeError("making batches ended before the last of them".to_owned());
        let batch = self.batches.recv().await.ok_or_else(lost)??;
        self.left -= 1;
        Ok(Some(batch))
    }

    /// Batches that are yet to come.
    pub(super) fn left(&self) -> u64 {
        self.left
    }
}

fn gather(
    samples: &dyn SampleSet,
    shift: Option<&Shift>,
    numbers: &[u64],
) -> Result<SampleBatch, Error> {
    let (mut inputs, labels) = samples.gather(numbers).map_err(ComputeError)?;
    if let Some(shift) = shift {
        shift.apply(numbers, &mut inputs.features);
    }
    Ok(SampleBatch::Values { inputs, labels })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ps_data::{Draw, Inputs};
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    /// Sample n has the feature n; there is no sample 13.
    #[derive(Default)]
    struct Numbered {
        gathered: AtomicU64,
    }

    impl SampleSet for Numbered {
        fn count(&self) -> u64 {
            u64::MAX
        }

        fn shape(&self) -> &[usize] {
            &[1, 1]
        }

        fn gather(&self, numbers: &[u64]) -> Result<(Inputs, ps_data::Labels), String> {
            if numbers.contains(&13) {
                return Err("there is no sample 13".to_owned());
            }
            self.gathered.fetch_add(1, Ordering::SeqCst);
            let features: Vec<f32> = numbers.iter().map(|number| *number as f32).collect();
            Ok((features.into(), vec![0; numbers.len()].into()))
        }
    }

    fn values(numbers: &[u64]) -> SampleBatch {
        let (inputs, labels) = Numbered::default().gather(numbers).unwrap();
        SampleBatch::Values { inputs, labels }
    }

    #[tokio::test]
    async fn batches_keep_their_order_and_end() {
        let order: Vec<Vec<u64>> =
            (20..120).map(|number| vec![number, number * 7 % 100 + 20]).collect();
        let mut batches =
            Prefetcher::gather(Arc::new(Numbered::default()), None, order.clone().into_iter());
        for (place, numbers) in order.iter().enumerate() {
            assert_eq!(batches.left(), 100 - place as u64);
            assert_eq!(batches.next().await.unwrap(), Some(values(numbers)));
        }
        assert_eq!(batches.left(), 0);
        assert_eq!(batches.next().await.unwrap(), None);
        let mut none = Prefetcher::gather(Arc::new(Numbered::default()), None, std::iter::empty());
        assert_eq!(none.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn images_are_moved_by_their_numbers_and_not_by_their_places() {
        let draw = Draw { seed: 1, pass: 2, source: 0 };
        let shift = Shift::new(1, Images.shape(), draw).unwrap();
        let mut seen = BTreeMap::new();
        for order in [vec![vec![1, 2, 3, 4], vec![5]], vec![vec![4, 5], vec![3], vec![2, 1]]] {
            let mut batches =
                Prefetcher::gather(Arc::new(Images), Some(shift), order.clone().into_iter());
            for numbers in order {
                let Some(SampleBatch::Values { inputs, labels }) = batches.next().await.unwrap()
                else {
                    panic!("no batch of {numbers:?}");
                };
                assert_eq!(labels.len(), numbers.len());
                for (number, image) in numbers.into_iter().zip(inputs.features.chunks_exact(9)) {
                    assert_eq!(*seen.entry(number).or_insert_with(|| image.to_vec()), image);
                }
            }
        }
        let distinct = seen.values().map(|image| image.iter().map(|value| *value as u32).collect());
        assert!(distinct.collect::<BTreeSet<Vec<u32>>>().len() > 1, "all are moved the same way");
    }

    /// Every sample is the same image.
    struct Images;

    impl SampleSet for Images {
        fn count(&self) -> u64 {
            u64::MAX
        }

        fn shape(&self) -> &[usize] {
            &[3, 3]
        }

        fn gather(&self, numbers: &[u64]) -> Result<(Inputs, ps_data::Labels), String> {
            let image = || (1..10).map(|value| value as f32);
            let images: Vec<f32> = numbers.iter().flat_map(|_| image()).collect();
            Ok((images.into(), vec![0; numbers.len()].into()))
        }
    }

    #[tokio::test]
    async fn an_error_comes_at_the_batch_that_has_it() {
        let order = vec![vec![1], vec![2], vec![12, 13], vec![14]];
        let mut batches =
            Prefetcher::gather(Arc::new(Numbered::default()), None, order.into_iter());
        assert_eq!(batches.next().await.unwrap(), Some(values(&[1])));
        assert_eq!(batches.next().await.unwrap(), Some(values(&[2])));
        let error = batches.next().await.unwrap_err().to_string();
        assert!(error.contains("no sample 13"), "{error}");
    }

    #[tokio::test]
    async fn no_more_is_made_than_is_wanted_soon_and_nothing_when_nobody_wants_it() {
        let samples = Arc::new(Numbered::default());
        let order = (20..1020).map(|number| vec![number]);
        let order = order.collect::<Vec<_>>().into_iter();
        let mut batches = Prefetcher::gather(samples.clone(), None, order);
        batches.next().await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        // The one that was taken, those in the channel, and one in the thread's hands.
        let most = 1 + BATCHES_AHEAD_MAX as u64 + 1;
        assert!(samples.gathered.load(Ordering::SeqCst) <= most);
        drop(batches);
        let start = Instant::now();
        // The thread holds the samples until it ends.
        while Arc::strong_count(&samples) > 1 {
            assert!(start.elapsed() < Duration::from_secs(30), "the thread goes on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(samples.gathered.load(Ordering::SeqCst) <= most);
    }
}
