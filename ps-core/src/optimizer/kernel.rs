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
//!   processor has to be changed.

use multiversion::multiversion;

/// Smallest magnitude a term of a sum may have; anything below counts as zero.
///
/// 2^-100, about 7.9e-31. Two different terms above it differ by at least 2^-123, which leaves a
/// factor of eight above the smallest normal number for rounding.
pub const FLOOR: f32 = f32::from_bits((127 - 100) << 23);

/// Smallest magnitude whose square is not below [`FLOOR`]: 2^-50.
const SQUARE_FLOOR: f32 = f32::from_bits((127 - 50) << 23);

/// Smallest quotient that is not counted as zero: 2^-60, far below what moves a weight.
const QUOTIENT_FLOOR: f32 = f32::from_bits((127 - 60) << 23);

pub(crate) const MAGNITUDE_BITS: u32 = 0x7fff_ffff;

/// `value`, or zero where its magnitude is below `floor`. NaN and infinities pass.
// Magnitudes are compared as integers: a comparison of floats may itself be slow on denormals.
#[inline(always)]
pub fn keep(value: f32, floor: f32) -> f32 {
    let magnitude = (value.to_bits() & MAGNITUDE_BITS).cast_signed();
    if magnitude < floor.to_bits().cast_signed() { 0.0 } else { value }
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

/// How one element changes: what an optimizer's file defines.
pub trait Rule<const SLOTS: usize>: Copy {
    /// The weight and its state after one gradient.
    fn step(self, weight: f32, slots: [f32; SLOTS], gradient: f32) -> (f32, [f32; SLOTS]);
}

/// Applies a rule that keeps no state. `gradient` is little-endian `f32`, at any alignment.
#[multiversion(targets("x86_64+avx2"))]
pub fn without_slots<R: Rule<0>>(rule: R, weights: &mut [f32], gradient: &[u8]) {
    let (values, _) = gradient.as_chunks::<4>();
    for (weight, &value) in weights.iter_mut().zip(values) {
        (*weight, _) = rule.step(*weight, [], f32::from_le_bytes(value));
    }
}

/// Applies a rule that keeps one number per weight.
#[multiversion(targets("x86_64+avx2"))]
pub fn one_slot<R: Rule<1>>(rule: R, weights: &mut [f32], slot: &mut [f32], gradient: &[u8]) {
    let (values, _) = gradient.as_chunks::<4>();
    for ((weight, slot), &value) in weights.iter_mut().zip(slot).zip(values) {
        (*weight, [*slot]) = rule.step(*weight, [*slot], f32::from_le_bytes(value));
    }
}

/// Applies a rule that keeps two numbers per weight.
#[multiversion(targets("x86_64+avx2"))]
pub fn two_slots<R: Rule<2>>(
    rule: R,
    weights: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradient: &[u8],
) {
    let (values, _) = gradient.as_chunks::<4>();
    let states = first.iter_mut().zip(second);
    for ((weight, (first, second)), &value) in weights.iter_mut().zip(states).zip(values) {
        let gradient = f32::from_le_bytes(value);
        (*weight, [*first, *second]) = rule.step(*weight, [*first, *second], gradient);
    }
}

/// Bits of the largest magnitude; they order like the magnitudes, with infinity and NaN last.
// An integer maximum may be regrouped freely, so this reduction vectorises and stays exact.
#[multiversion(targets("x86_64+avx2"))]
fn largest_bits(values: &[u8]) -> i32 {
    let (values, _) = values.as_chunks::<4>();
    values.iter().fold(0, |largest, &value| {
        largest.max((u32::from_le_bytes(value) & MAGNITUDE_BITS).cast_signed())
    })
}

/// The largest magnitude among little-endian `f32` values, `None` when one is NaN or infinite.
pub fn largest_magnitude(values: &[u8]) -> Option<f32> {
    let largest = f32::from_bits(largest_bits(values).cast_unsigned());
    largest.is_finite().then_some(largest)
}
