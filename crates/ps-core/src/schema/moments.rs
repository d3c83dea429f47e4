//! Mean and deviation of numbers that come one after another, or in parts.

/// Sums of which mean and deviation follow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// How many numbers there were.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Sum of their squared distances from the mean.
    pub squares: f64,
}

impl Moments {
    /// Takes in a number (Welford, 1962: exact for large means, too).
    #[inline]
    pub fn add(&mut self, number: f64) {
        self.count += 1;
        let distance = number - self.mean;
        self.mean += distance / self.count as f64;
        self.squares += distance * (number - self.mean);
    }

    /// Takes in the numbers of another part (Chan, Golub and LeVeque, 1979, equations 2.1).
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let (own, others) = (self.count as f64, other.count as f64);
        let (all, distance) = (own + others, other.mean - self.mean);
        self.squares += other.squares + distance * distance * own * others / all;
        self.mean += distance * others / all;
        self.count += other.count;
    }

    /// The standard deviation of all; 1 where they are all the same, so that a constant becomes 0 when it is divided.
    pub fn deviation(&self) -> f64 {
        let deviation = (self.squares / self.count.max(1) as f64).sqrt();
        if deviation > 0.0 { deviation } else { 1.0 }
    }
}
