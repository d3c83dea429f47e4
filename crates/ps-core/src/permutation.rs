//! The order in which a pass visits the training samples, the same in every process.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A shuffle of `0..samples` that is a function of its arguments alone.
///
/// The shuffle is written out here, not taken from `rand`, whose way of drawing a bounded number
/// may change between versions: a job resumed by a newer binary must still see the same order.
pub fn permutation(seed: u64, pass: u64, samples: u32) -> Vec<u32> {
    permutation_of(seed, pass, 0, samples)
}

/// The same for the samples of one source; source 0 has the order of [`permutation`].
pub fn permutation_of(seed: u64, pass: u64, source: u32, samples: u32) -> Vec<u32> {
    let mut key = [0_u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&pass.to_le_bytes());
    // Keeps this stream apart from every other one that is keyed by the same seed.
    key[16..].copy_from_slice(b"ps permutation 1");
    for (byte, part) in key[16..].iter_mut().zip(source.to_le_bytes()) {
        *byte ^= part;
    }
    let mut random = ChaCha8Rng::from_seed(key);

    let mut order: Vec<u32> = (0..samples).collect();
    for end in (1..samples).rev() {
        let chosen = below(&mut random, end + 1);
        order.swap(end as usize, chosen as usize);
    }
    order
}

/// A number in `0..bound`, each equally likely.
fn below(random: &mut ChaCha8Rng, bound: u32) -> u32 {
    // The products of 2^32 draws spread over `bound` buckets; draws that fall into the uneven rest
    // at the start of a bucket are drawn again.
    let rest = bound.wrapping_neg() % bound;
    loop {
        let product = u64::from(random.next_u32()) * u64::from(bound);
        if product as u32 >= rest {
            return (product >> 32) as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_occurs_once() {
        for samples in [0, 1, 2, 3, 10, 1437] {
            let mut order = permutation(7, 3, samples);
            order.sort_unstable();
            assert_eq!(order, (0..samples).collect::<Vec<u32>>());
        }
    }

    #[test]
    fn the_order_depends_on_seed_and_pass_only() {
        assert_eq!(permutation(1, 0, 100), permutation(1, 0, 100));
        assert_ne!(permutation(1, 0, 100), permutation(1, 1, 100));
        assert_ne!(permutation(1, 0, 100), permutation(2, 0, 100));
    }

    #[test]
    fn places_are_equally_likely() {
        // Where sample 0 lands over 6,000 passes of 6 samples: 1,000 each, deviation about 29.
        let mut landed = [0_u32; 6];
        for pass in 0..6_000 {
            let place = permutation(5, pass, 6).iter().position(|&sample| sample == 0).unwrap();
            landed[place] += 1;
        }
        assert!(landed.iter().all(|&times| (850..1_150).contains(&times)), "{landed:?}");
    }

    #[test]
    fn the_order_never_changes_between_versions() {
        // A job that is resumed by another version relies on these very numbers.
        assert_eq!(permutation(1, 2, 8), [4, 7, 2, 0, 5, 1, 6, 3]);
        assert_eq!(permutation_of(1, 2, 0, 8), [4, 7, 2, 0, 5, 1, 6, 3]);
    }

    #[test]
    fn every_source_has_an_order_of_its_own() {
        let orders: Vec<_> = (0..300).map(|source| permutation_of(1, 2, source, 50)).collect();
        let distinct: std::collections::BTreeSet<_> = orders.iter().collect();
        assert_eq!(distinct.len(), orders.len());
    }
}
