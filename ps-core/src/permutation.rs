//! The order of the samples in a pass: the same on every machine that knows the seed.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// A permutation of `0..samples` for this pass.
///
/// ChaCha8 and Fisher-Yates with fixed versions: the order is part of what a seed promises.
pub fn permutation(seed: u64, pass: u64, samples: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..u32::try_from(samples).unwrap_or(u32::MAX)).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // One stream per pass, so that a pass needs no history.
    random.set_stream(pass);
    order.shuffle(&mut random);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_once_and_every_pass_another_order() {
        let first = permutation(1, 0, 1000);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert!(
            sorted
                .iter()
                .enumerate()
                .all(|(i, &sample)| i == sample as usize)
        );
        assert_eq!(first, permutation(1, 0, 1000));
        assert_ne!(first, permutation(1, 1, 1000));
        assert_ne!(first, permutation(2, 0, 1000));
    }
}
