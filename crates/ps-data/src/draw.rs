//! Random numbers that depend on the job's seed, the pass and the source alone.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Which of a job's random numbers are drawn: those of one pass over one source's samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Draw {
    /// The job's.
    pub seed: u64,
    /// From 0.
    pub pass: u64,
    /// Whose samples: numbers of samples are those of their source.
    pub source: u32,
}

impl Draw {
    /// The numbers for one purpose, told from those for others by 16 bytes of its own.
    pub(crate) fn generator(&self, purpose: &[u8; 16]) -> ChaCha8Rng {
        let mut key = [0_u8; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&self.pass.to_le_bytes());
        key[16..].copy_from_slice(purpose);
        for (byte, part) in key[16..].iter_mut().zip(self.source.to_le_bytes()) {
            *byte ^= part;
        }
        ChaCha8Rng::from_seed(key)
    }
}

/// A number below the bound, each equally likely but for one part in 2^32 / bound.
pub(crate) fn below(random: &mut ChaCha8Rng, bound: u32) -> u32 {
    ((u64::from(random.next_u32()) * u64::from(bound)) >> 32) as u32
}
