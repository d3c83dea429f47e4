//! Mean and deviation of numbers that come one after another, or in parts.
//!
//! Sums are kept with twice the digits of a number, so that what they are rounded to at the end does not depend on the
//! order of the numbers, or on the parts: shares of a table have the schema of the whole.

use serde::{Deserialize, Serialize};

/// A sum with twice the digits of a number: what rounding took from the first part is in the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Twofold {
    sum: f64,
    rest: f64,
}

impl Twofold {
    #[inline]
    fn add(&mut self, number: f64) {
        let (sum, rest) = two_sum(self.sum, number);
        self.sum = sum;
        self.rest += rest;
    }

    fn merge(&mut self, other: Self) {
        self.add(other.sum);
        self.rest += other.rest;
    }

    /// The same, with a second part that is small beside the first.
    fn normal(self) -> Self {
        let (sum, rest) = two_sum(self.sum, self.rest);
        Self { sum, rest }
    }

    fn divided(self, by: f64) -> Self {
        let Self { sum, rest } = self.normal();
        let quotient = sum / by;
        let (product, error) = two_product(quotient, by);
        Self { sum: quotient, rest: ((sum - product) - error + rest) / by }.normal()
    }

    fn times(self, other: Self) -> Self {
        let (one, other) = (self.normal(), other.normal());
        let (sum, rest) = two_product(one.sum, other.sum);
        Self { sum, rest: rest + (one.sum * other.rest + one.rest * other.sum) }
    }
}

/// The sum and what rounding took from it, exactly (Knuth, The Art of Computer Programming 2, 4.2.2).
#[inline]
fn two_sum(one: f64, other: f64) -> (f64, f64) {
    let sum = one + other;
    let others = sum - one;
    (sum, (one - (sum - others)) + (other - others))
}

/// The product and what rounding took from it, exactly unless it is tiny (Dekker, 1971).
#[inline]
fn two_product(one: f64, other: f64) -> (f64, f64) {
    let split = |number: f64| {
        let scaled = 134_217_729.0 * number;
        let high = scaled - (scaled - number);
        (high, number - high)
    };
    let product = one * other;
    let ((one_high, one_low), (other_high, other_low)) = (split(one), split(other));
    let error = ((one_high * other_high - product) + one_high * other_low + one_low * other_high)
        + one_low * other_low;
    (product, error)
}

/// Sums of which mean and deviation follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// How many numbers there were.
    pub count: u64,
    sum: Twofold,
    squares: Twofold,
    /// The smallest and the largest; 0 without any.
    range: (f64, f64),
}

impl Moments {
    /// Takes in a number, which is finite as an `f32`, too.
    #[inline]
    pub fn add(&mut self, number: f64) {
        self.widen((number, number));
        self.count += 1;
        self.sum.add(number);
        let (square, error) = two_product(number, number);
        self.squares.add(square);
        self.squares.rest += error;
    }

    #[inline]
    fn widen(&mut self, (least, most): (f64, f64)) {
        self.range = match self.count {
            0 => (least, most),
            _ => (self.range.0.min(least), self.range.1.max(most)),
        };
    }

    /// Takes in the numbers of another part.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.widen(other.range);
        self.count += other.count;
        self.sum.merge(other.sum);
        self.squares.merge(other.squares);
    }

    /// The mean of all.
    pub fn mean(&self) -> f64 {
        self.sum.divided(self.count.max(1) as f64).sum
    }

    /// The standard deviation of all; 1 where they are all the same, so that a constant becomes 0 when it is divided.
    pub fn deviation(&self) -> f64 {
        let deviation = self.spread();
        if deviation > 0.0 { deviation } else { 1.0 }
    }

    /// The sum of all squared distances from the mean.
    pub fn squares(&self) -> f64 {
        self.spread().powi(2) * self.count as f64
    }

    /// The standard deviation, 0 where they are all the same.
    fn spread(&self) -> f64 {
        let range = self.range.1 - self.range.0;
        if range <= 0.0 {
            return 0.0;
        }
        let count = self.count as f64;
        let mut expected = self.sum.times(self.sum.divided(count));
        (expected.sum, expected.rest) = (-expected.sum, -expected.rest);
        let mut squares = self.squares;
        squares.merge(expected);
        let variance = squares.divided(count).sum.max(0.0);
        // No deviation is beyond these, whatever is lost where numbers are large beside their differences.
        variance.sqrt().clamp(range / (2.0 * count).sqrt(), range / 2.0)
    }

    /// All sums, for a message.
    pub fn to_numbers(&self) -> [f64; 6] {
        let Self { sum, squares, range, .. } = self;
        [sum.sum, sum.rest, squares.sum, squares.rest, range.0, range.1]
    }

    /// What a message says; `None` of what no numbers can have.
    pub fn from_numbers(count: u64, numbers: [f64; 6]) -> Option<Self> {
        let [sum, rest, squares, squares_rest, least, most] = numbers;
        let are_sums = numbers.iter().all(|number| number.is_finite())
            && squares >= 0.0
            && least <= most
            && [least, most].iter().all(|number| (*number as f32).is_finite())
            && (count > 1 || least == most)
            && (count > 0 || numbers == [0.0; 6]);
        are_sums.then_some(Self {
            count,
            sum: Twofold { sum, rest },
            squares: Twofold { sum: squares, rest: squares_rest },
            range: (least, most),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(numbers: &[f64]) -> Moments {
        let mut moments = Moments::default();
        numbers.iter().for_each(|number| moments.add(*number));
        moments
    }

    /// As it is defined, with the mean taken first.
    fn deviation(numbers: &[f64]) -> f64 {
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        (numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / count).sqrt()
    }

    proptest! {
        /// To the last bit, so that a digest is the same.
        #[test]
        fn neither_order_nor_parts_matter(
            mut numbers in proptest::collection::vec(-1e6..1e9_f64, 2..400),
            cuts in proptest::collection::vec(0..400_usize, 0..5),
            turn in 0..400_usize,
        ) {
            let whole = of(&numbers);
            prop_assert!((whole.deviation() / deviation(&numbers) - 1.0).abs() < 1e-9);
            let turn = turn % numbers.len();
            numbers.rotate_left(turn);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(numbers.len())).collect();
            cuts.extend([0, numbers.len()]);
            cuts.sort_unstable();
            let mut sum = Moments::default();
            cuts.windows(2).rev().for_each(|cut| sum.merge(&of(&numbers[cut[0]..cut[1]])));
            prop_assert_eq!(
                (sum.count, sum.mean(), sum.deviation()),
                (whole.count, whole.mean(), whole.deviation())
            );
            prop_assert_eq!(Moments::from_numbers(sum.count, sum.to_numbers()), Some(sum));
        }
    }

    #[test]
    fn large_and_constant_numbers_have_a_deviation() {
        assert_eq!((of(&[1e30; 7]).mean(), of(&[1e30; 7]).deviation()), (1e30, 1.0));
        assert_eq!(of(&[]).deviation(), 1.0);
        assert_eq!(of(&[0.1, 0.1, 0.1]).mean(), 0.1);
        for large in [1e9, 1e12, 1e15] {
            assert_eq!(of(&[large, large + 2.0]).deviation(), 1.0);
        }
        assert!(of(&[1e-200, 3e-200]).deviation() >= 1e-200);
        assert_eq!(of(&[-3e38, 3e38]).deviation(), 3e38);
    }

    #[test]
    fn what_no_numbers_have_is_refused() {
        assert_eq!(Moments::from_numbers(1, [f64::NAN, 0.0, 0.0, 0.0, 0.0, 0.0]), None);
        assert_eq!(Moments::from_numbers(1, [0.0, 0.0, -1.0, 0.0, 0.0, 0.0]), None);
        assert_eq!(Moments::from_numbers(1, [0.0, 0.0, 0.0, 0.0, 2.0, 1.0]), None);
        assert_eq!(Moments::from_numbers(1, [0.0, 0.0, 0.0, 0.0, 0.0, 1e300]), None);
        assert_eq!(Moments::from_numbers(1, [0.0, 0.0, 0.0, 0.0, 1.0, 2.0]), None);
        assert_eq!(Moments::from_numbers(0, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]), None);
    }
}
