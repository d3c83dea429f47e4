//! Waiting between attempts: exponential, with jitter, so that many retries do not come at once.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// A sequence of waits.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
    random: ChaCha8Rng,
}

impl Backoff {
    /// Starts at about `first` and doubles up to `longest`; the seed decides the jitter.
    pub fn new(first: Duration, longest: Duration, seed: u64) -> Self {
        Self { next: first, longest, random: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// The next wait: between half and all of the current step.
    pub fn next_wait(&mut self) -> Duration {
        let step = self.next.min(self.longest);
        self.next = (step * 2).min(self.longest);
        step.mul_f64(self.random.random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_longest_wait() {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(100), 1);
        let waits: Vec<_> = (0..8).map(|_| backoff.next_wait().as_millis()).collect();
        assert!(waits[0] <= 10 && waits[0] >= 5, "{waits:?}");
        assert!(waits[4..].iter().all(|wait| (50..=100).contains(wait)), "{waits:?}");
    }
}
