//! The order in which a pass visits the training samples, the same in every process: computed place by place, never stored.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// Pairs of rounds. Two would do for what nobody attacks; the others are for sets of a few hundred samples, whose halves
/// have four bits.
const ROUNDS: usize = 4;

/// Bits of the smallest network: with fewer, some orders of a handful of samples could never come.
const BITS_MIN: u32 = 8;

/// A shuffle of `0..samples` that is a function of its arguments alone: which sample is at a place costs the same for a
/// thousand samples and for a trillion.
///
/// A Feistel network permutes the numbers below the next power of two; a number that is no sample is sent through it again,
/// until it is one, which is less than twice on average. It is written out here, not taken from a library, whose functions
/// may change between versions: a job resumed by a newer binary must still see the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleOrder {
    samples: u64,
    /// Bits of the left half and of the right one.
    bits: [u32; 2],
    keys: [[u64; 2]; ROUNDS],
}

impl SampleOrder {
    /// The order of a pass over the samples of one source.
    pub fn new(seed: u64, pass: u64, source: u32, samples: u64) -> Self {
        let mut key = [0_u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&pass.to_le_bytes());
        // Keeps this stream apart from every other one that is keyed by the same seed.
        key[16..].copy_from_slice(b"ps permutation 2");
        for (byte, part) in key[16..].iter_mut().zip(source.to_le_bytes()) {
            *byte ^= part;
        }
        let mut random = ChaCha8Rng::from_seed(key);
        let keys = [(); ROUNDS].map(|()| [random.next_u64(), random.next_u64()]);
        let bits = (u64::BITS - samples.saturating_sub(1).leading_zeros()).max(BITS_MIN);
        Self { samples, bits: [bits / 2, bits - bits / 2], keys }
    }

    /// How many samples there are.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The samples at these places, of which those beyond the last sample have none.
    pub fn at(&self, places: Range<u64>) -> impl Iterator<Item = u64> + use<> {
        let order = *self;
        (places.start..places.end.min(order.samples)).map(move |place| order.sample(place))
    }

    /// The sample at a place, which must be one: the walk from a number that is none need not end.
    fn sample(&self, place: u64) -> u64 {
        let mut number = self.network(place);
        while number >= self.samples {
            number = self.network(number);
        }
        number
    }

    /// Another number of as many bits, a different one for each.
    fn network(&self, number: u64) -> u64 {
        let [left_mask, right_mask] = self.bits.map(|bits| (1_u64 << bits) - 1);
        let (mut left, mut right) = (number >> self.bits[1], number & right_mask);
        for [one, other] in self.keys {
            left ^= mixed(right, one) & left_mask;
            right ^= mixed(left, other) & right_mask;
        }
        (left << self.bits[1]) | right
    }
}

/// Bits that follow from all bits of a number and a key (the last steps of SplitMix64).
fn mixed(number: u64, key: u64) -> u64 {
    let mut mixed = number ^ key;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
