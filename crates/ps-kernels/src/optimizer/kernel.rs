//! The loops that apply a gradient, and the arithmetic they are allowed to do.
//!
//! Two properties hold for every rule that keeps to the primitives here:
//!
//! - **Bit-identical on every processor.** Each element is computed alone, by IEEE operations that
//!   round correctly, in the order written: no fused multiply-add, no reordered sums. The widest
//!   vector unit found at run time changes the speed and nothing else.
//! - **No denormals.** A processor can take 50 times longer over a product below 2^-126, and a
//!   gradient that fades to zero produces such products for hours. Magnitudes below [`FLOOR`]
//!   therefore count as zero before they are multiplied. The terms of a sum are then zero or at
//!   least 2^-100, so the sum is zero or at least 2^-123: never denormal, and no mode of the
//!   processor has to be changed. A weight without decay is in no product, and taken as it is. State that is
//!   floored when it is stored ([`STATE_FLOOR`]) needs no floor in the products that it is in.

use multiversion::multiversion;

/// Smallest magnitude a term of a sum may have; anything below counts as zero.
///
/// 2^-100, about 7.9e-31. Two different terms above it differ by at least 2^-123, which leaves a
/// factor of eight above the smallest normal number for rounding.
pub const FLOOR: f32 = f32::from_bits((127 - 100) << 23);

/// Smallest magnitude whose square is not below [`FLOOR`]: 2^-50.
const SQUARE_FLOOR: f32 = f32::from_bits((127 - 50) << 23);

/// Smallest magnitude of state that is floored when it is stored: 2^-60, about 8.7e-19.
pub const STATE_FLOOR: f32 = f32::from_bits((127 - 60) << 23);

/// Smallest constant that such state is multiplied by: 2^-40, about 9.1e-13.
const STATE_FACTOR_FLOOR: f32 = f32::from_bits((127 - 40) << 23);

/// Smallest quotient that is not counted as zero: 2^-60, far below what moves a weight.
const QUOTIENT_FLOOR: f32 = f32::from_bits((127 - 60) << 23);

pub(crate) const MAGNITUDE_BITS: u32 = 0x7fff_ffff;

/// `value`, or zero where its magnitude is below `floor`. NaN and infinities pass.
// Magnitudes are compared as integers: a comparison of floats may itself be slow on denormals.
#[inline(always)]
pub fn keep(value: f32, floor: f32) -> f32 {
    if magnitude_bits(value) < floor.to_bits().cast_signed() { 0.0 } else { value }
}

/// The square, or zero where it would be below [`FLOOR`].
// Two floors, because the square of one such selection is compiled to a selection between zero and
// the square of what was to be left out: slow on denormals again.
#[inline(always)]
pub fn square(value: f32) -> f32 {
    keep(value, SQUARE_FLOOR) * keep(value, FLOOR)
}

/// A constant to multiply by, with the magnitude below which a product counts as zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factor {
    value: f32,
    floor: f32,
    square_floor: f32,
}

impl Factor {
    /// A factor from its exact value, rounded once.
    pub fn new(exact: f64) -> Self {
        let value = keep(exact as f32, f32::MIN_POSITIVE);
        // Infinite for a factor of zero: every finite operand then counts as zero.
        let floor = FLOOR / value.abs().min(1.0);
        Self { value, floor, square_floor: floor.sqrt() }
    }

    /// The constant itself.
    pub fn value(self) -> f32 {
        self.value
    }

    /// The product: zero or at least [`FLOOR`] in magnitude.
    #[inline(always)]
    pub fn times(self, operand: f32) -> f32 {
        keep(operand, self.floor) * self.value
    }

    /// The product with a square: zero or at least [`FLOOR`].
    #[inline(always)]
    pub fn times_square(self, operand: f32) -> f32 {
        let operand = keep(operand, self.square_floor);
        self.value * operand * operand
    }

    /// The product with a quotient: zero or at least [`FLOOR`] in magnitude.
    ///
    /// The denominator must be at least 1e-12, which the range of `epsilon` ensures.
    #[inline(always)]
    pub fn times_quotient(self, numerator: f32, denominator: f32) -> f32 {
        let smallest = denominator * self.floor.max(QUOTIENT_FLOOR);
        keep(numerator, smallest) / denominator * self.value
    }
}

/// A constant to multiply state by that is zero or at least [`STATE_FLOOR`].
///
/// The floor is taken once, when the state is stored, instead of in every product: where a chunk is in the cache,
/// floors are most of what a step with momentum takes.
#[derive(Clone, Copy, Debug)]
pub struct StateFactor(f32);

impl StateFactor {
    /// A factor from its exact value, rounded once; zero if it is below 2^-40.
    pub fn new(exact: f64) -> Self {
        Self(keep(exact as f32, STATE_FACTOR_FLOOR))
    }

    /// The product: zero or at least [`FLOOR`] in magnitude.
    #[inline(always)]
    pub fn times(self, state: f32) -> f32 {
        self.0 * state
    }
}

/// What weight decay leaves of a weight.
#[derive(Clone, Copy, Debug)]
pub struct Decay(Option<Factor>);

impl Decay {
    /// Leaves this share of it; where that is all, the weight as it is: without decay, as most train, a step
    /// has one product and one floor less, which is a third of its time where the chunk is in the cache.
    pub fn new(exact: f64) -> Self {
        Self((exact != 1.0).then(|| Factor::new(exact)))
    }

    /// What is left.
    #[inline(always)]
    pub fn of(self, weight: f32) -> f32 {
        match self.0 {
            Some(factor) => factor.times(weight),
            None => weight,
        }
    }
}

/// How one element changes: what an optimizer's file defines.
pub trait Rule<const SLOTS: usize>: Copy {
    /// How many of the numbers, the first ones, are finite wherever the weight after the step is: they need no
    /// check of their own. What the weight is divided by never is.
    const SHOWN_BY_WEIGHT: usize;

    /// The weight and its state after one gradient.
    fn step(self, weight: f32, slots: [f32; SLOTS], gradient: f32) -> (f32, [f32; SLOTS]);
}

/// Whether all the values whose largest magnitude has these bits are finite.
const fn is_finite(largest_bits: i32) -> bool {
    largest_bits < f32::INFINITY.to_bits().cast_signed()
}

/// Bits of a magnitude; they order like the magnitudes, with infinity and NaN last.
// An integer maximum may be regrouped freely, so folding these vectorises and stays exact.
#[inline(always)]
fn magnitude_bits(value: f32) -> i32 {
    (value.to_bits() & MAGNITUDE_BITS).cast_signed()
}

/// Computes a rule that keeps no state into `after`; whether all of that is finite. `gradient` is
/// little-endian `f32`, at any alignment.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub fn without_slots<R: Rule<0>>(
    rule: R,
    weights: &[f32],
    gradient: &[u8],
    after: &mut [f32],
) -> bool {
    let (values, _) = gradient.as_chunks::<4>();
    let mut largest = 0;
    for ((&weight, &value), after) in weights.iter().zip(values).zip(after) {
        (*after, _) = rule.step(weight, [], f32::from_le_bytes(value));
        largest = largest.max(magnitude_bits(*after));
    }
    is_finite(largest)
}

/// As [`without_slots`], for a rule that keeps one number per weight.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub fn one_slot<R: Rule<1>>(
    rule: R,
    [weights, slots]: [&[f32]; 2],
    gradient: &[u8],
    [weights_after, slots_after]: [&mut [f32]; 2],
) -> bool {
    let (values, _) = gradient.as_chunks::<4>();
    let mut largest = 0;
    let before = weights.iter().zip(slots);
    let after = weights_after.iter_mut().zip(slots_after);
    for (((&weight, &slot), &value), (weight_after, slot_after)) in before.zip(values).zip(after) {
        (*weight_after, [*slot_after]) = rule.step(weight, [slot], f32::from_le_bytes(value));
        largest = largest.max(magnitude_bits(*weight_after));
        if R::SHOWN_BY_WEIGHT == 0 {
            largest = largest.max(magnitude_bits(*slot_after));
        }
    }
    is_finite(largest)
}

/// As [`without_slots`], for a rule that keeps two numbers per weight.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub fn two_slots<R: Rule<2>>(
    rule: R,
    [weights, firsts, seconds]: [&[f32]; 3],
    gradient: &[u8],
    [weights_after, firsts_after, seconds_after]: [&mut [f32]; 3],
) -> bool {
    let (values, _) = gradient.as_chunks::<4>();
    let mut largest = 0;
    let before = weights.iter().zip(firsts.iter().zip(seconds));
    let after = weights_after.iter_mut().zip(firsts_after.iter_mut().zip(seconds_after));
    for (((&weight, (&first, &second)), &value), (weight_after, (first_after, second_after))) in
        before.zip(values).zip(after)
    {
        let gradient = f32::from_le_bytes(value);
        (*weight_after, [*first_after, *second_after]) =
            rule.step(weight, [first, second], gradient);
        largest = largest.max(magnitude_bits(*weight_after));
        if R::SHOWN_BY_WEIGHT == 0 {
            largest = largest.max(magnitude_bits(*first_after));
        }
        if R::SHOWN_BY_WEIGHT <= 1 {
            largest = largest.max(magnitude_bits(*second_after));
        }
    }
    is_finite(largest)
}

/// Whether all of these little-endian `f32` values are finite.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub fn all_finite(values: &[u8]) -> bool {
    let (values, _) = values.as_chunks::<4>();
    let bits = values.iter().map(|&value| magnitude_bits(f32::from_le_bytes(value)));
    is_finite(bits.fold(0, i32::max))
}
