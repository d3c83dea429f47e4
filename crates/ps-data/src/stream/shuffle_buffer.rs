//! The order of samples that come from files, changed as far as memory allows.

use rand_chacha::ChaCha8Rng;

use super::batch::StreamBatch;
use crate::draw::{Draw, below};
use crate::limits::{FEATURE_BYTES_MAX, SHUFFLE_SAMPLES_MAX};
use crate::{Error, Inputs, Label, Labels};

/// Keeps these numbers apart from every other ones that are keyed by the same seed.
const PURPOSE: &[u8; 16] = b"ps stream order1";

/// How the order of a pass is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shuffle {
    /// How many samples wait for their turn.
    pub samples: usize,
    /// Which order of all.
    pub draw: Draw,
}

/// Samples that wait for their turn: whenever there is no room, one of them goes, each equally
/// likely, and the one that comes takes its place.
pub(super) struct ShuffleBuffer {
    capacity: usize,
    features: Slots<f32>,
    ids: Slots<u32>,
    labels: Labels,
    random: ChaCha8Rng,
}

impl ShuffleBuffer {
    /// A buffer for samples of so many inputs and ids.
    ///
    /// # Errors
    /// That would be too much memory.
    pub(super) fn new(shuffle: &Shuffle, inputs: usize, ids: usize) -> Result<Self, Error> {
        let capacity = shuffle.samples.clamp(1, SHUFFLE_SAMPLES_MAX);
        let each = inputs.saturating_add(ids);
        let bytes = capacity.saturating_mul(each).saturating_mul(size_of::<f32>());
        let (mut features, mut ids) = (Slots::of(inputs), Slots::of(ids));
        let fits =
            bytes <= FEATURE_BYTES_MAX && features.reserve(capacity) && ids.reserve(capacity);
        if !fits {
            return Err(Error::Options(format!(
                "--shuffle-buffer {capacity}: samples of {inputs} inputs need {bytes} bytes, expected \
                 what this machine has, and at most {FEATURE_BYTES_MAX}; give fewer samples"
            )));
        }
        let random = shuffle.draw.generator(PURPOSE);
        Ok(Self { capacity, features, ids, labels: Labels::default(), random })
    }

    /// Takes in a sample; another, or itself, goes into the batch unless there is room for both.
    ///
    /// # Errors
    /// Its label is of another kind than those before, in words.
    pub(super) fn exchange(
        &mut self,
        sample: &Inputs,
        label: Label,
        batch: &mut StreamBatch,
    ) -> Result<(), String> {
        if self.labels.len() < self.capacity {
            self.features.values.extend_from_slice(&sample.features);
            self.ids.values.extend_from_slice(&sample.ids);
            return self.labels.push(label);
        }
        let chosen = self.choose();
        batch.labels.push(self.labels.replace(chosen, label))?;
        self.features.exchange(chosen, &sample.features, &mut batch.inputs.features);
        self.ids.exchange(chosen, &sample.ids, &mut batch.inputs.ids);
        Ok(())
    }

    /// Lets one go into the batch; false when none is left.
    ///
    /// # Errors
    /// None while the batch is made of these samples alone.
    pub(super) fn draw(&mut self, batch: &mut StreamBatch) -> Result<bool, String> {
        if self.labels.is_empty() {
            return Ok(false);
        }
        let (chosen, last) = (self.choose(), self.labels.len() - 1);
        batch.labels.push(self.labels.swap_remove(chosen))?;
        self.features.draw(chosen, last, &mut batch.inputs.features);
        self.ids.draw(chosen, last, &mut batch.inputs.ids);
        Ok(true)
    }

    fn choose(&mut self) -> usize {
        below(&mut self.random, u32::try_from(self.labels.len()).unwrap_or(u32::MAX)) as usize
    }
}

/// Values of the samples that wait, as many each.
struct Slots<T> {
    each: usize,
    values: Vec<T>,
}

impl<T: Copy> Slots<T> {
    fn of(each: usize) -> Self {
        Self { each, values: Vec::new() }
    }

    /// Whether there is memory for so many samples.
    fn reserve(&mut self, samples: usize) -> bool {
        self.values.try_reserve_exact(samples * self.each).is_ok()
    }

    /// Lets the chosen sample go, and gives its place to another.
    fn exchange(&mut self, chosen: usize, sample: &[T], gone: &mut Vec<T>) {
        let slot = &mut self.values[chosen * self.each..(chosen + 1) * self.each];
        gone.extend_from_slice(slot);
        slot.copy_from_slice(sample);
    }

    /// Lets the chosen sample go, and gives its place to the last.
    fn draw(&mut self, chosen: usize, last: usize, gone: &mut Vec<T>) {
        let start = chosen * self.each;
        gone.extend_from_slice(&self.values[start..start + self.each]);
        self.values.copy_within(last * self.each.., start);
        self.values.truncate(last * self.each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The order in which numbered samples come out; sample n is n twice, its id and label n.
    fn order(samples: u32, capacity: usize, draw: Draw) -> Vec<u32> {
        let mut shuffled = ShuffleBuffer::new(&Shuffle { samples: capacity, draw }, 2, 1).unwrap();
        let mut batch = StreamBatch::default();
        for number in 0..samples {
            let sample = Inputs { features: vec![number as f32; 2], ids: vec![number] };
            shuffled.exchange(&sample, Label::Class(number), &mut batch).unwrap();
            let waiting = number as usize + 1 - batch.labels.len();
            assert!(waiting <= capacity && shuffled.features.values.len() == 2 * waiting);
        }
        while shuffled.draw(&mut batch).unwrap() {}
        let labels = batch.labels.classes().to_vec();
        let features: Vec<f32> = labels.iter().flat_map(|&label| [label as f32; 2]).collect();
        assert_eq!(batch.inputs.features, features, "inputs and labels of different samples");
        assert_eq!(batch.inputs.ids, labels, "ids and labels of different samples");
        labels
    }

    proptest! {
        #[test]
        fn every_sample_comes_once_and_none_before_its_time(
            samples in 0..300_u32, capacity in 1..60_usize, seed: u64,
        ) {
            let draw = Draw { seed, pass: 1, source: 0 };
            let order = order(samples, capacity, draw);
            for (place, &number) in order.iter().enumerate() {
                prop_assert!(number as usize <= place + capacity);
            }
            let mut sorted = order;
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..samples).collect::<Vec<u32>>());
        }
    }

    #[test]
    fn seed_and_pass_say_the_order() {
        let draw = Draw { seed: 1, pass: 2, source: 0 };
        assert_eq!(order(100, 20, draw), order(100, 20, draw));
        assert_ne!(order(100, 20, draw), order(100, 20, Draw { pass: 3, ..draw }));
        assert_ne!(order(100, 20, draw), order(100, 20, Draw { seed: 2, ..draw }));
        assert_eq!(order(50, 1, draw), (0..50).collect::<Vec<u32>>());
    }

    #[test]
    fn more_memory_than_there_may_be_is_refused() {
        let shuffle = Shuffle { samples: SHUFFLE_SAMPLES_MAX, draw: Draw::default() };
        let error = ShuffleBuffer::new(&shuffle, 1 << 20, 0).err().unwrap().to_string();
        assert!(error.contains("--shuffle-buffer") && error.contains("fewer"), "{error}");
    }
}
