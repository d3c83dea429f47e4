//! The encodings with one number per value: f32, bf16 and f16.
//!
//! bf16 and f16 are made by integer arithmetic, so that they vectorise on every processor; the
//! conversions of f16 follow Giesen, "Float->half conversions" (2012).

use crate::optimizer::kernel::MAGNITUDE_BITS;
use multiversion::multiversion;

const SIGN_BIT: u32 = 0x8000_0000;
const INFINITY_BITS: u32 = 0x7f80_0000;

/// Largest finite f16, 65504, as an f32.
const F16_MAX_BITS: u32 = 0x477f_e000;

/// Smallest normal f16, 2^-14, as an f32.
const F16_NORMAL_BITS: u32 = (127 - 14) << 23;

/// Below 2^-26 everything is zero in f16: the smallest value is 2^-24.
const F16_ZERO_BITS: u32 = (127 - 26) << 23;

/// An f32 whose last bit is worth 2^-24, the unit of denormal f16: 0.5.
const F16_UNIT_BITS: u32 = (127 - 1) << 23;

/// What exponents of f32 and f16 differ by.
const BIAS_BITS: u32 = (127 - 15) << 23;

/// Whether one magnitude is below another. As integers they are not negative, so that a signed
/// comparison does, which every vector unit has.
#[inline(always)]
fn is_below(left: u32, right: u32) -> bool {
    left.cast_signed() < right.cast_signed()
}

#[inline(always)]
pub(super) fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    // A payload in the lower half alone would be rounded to an infinity: make it quiet.
    let nan = bits | 0x0040_0000;
    let is_nan = is_below(INFINITY_BITS, bits & MAGNITUDE_BITS);
    ((if is_nan { nan } else { rounded }) >> 16) as u16
}

#[inline(always)]
pub(super) fn from_bf16(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

#[inline(always)]
pub(super) fn to_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let magnitude = bits & MAGNITUDE_BITS;
    let finite = if is_below(F16_MAX_BITS, magnitude) { F16_MAX_BITS } else { magnitude };
    let odd = (finite >> 13) & 1;
    let normal = finite.wrapping_sub(BIAS_BITS).wrapping_add(0xfff + odd) >> 13;
    // The sum with 0.5 is rounded where an f16 has its last bit; no operand is denormal.
    let small = if is_below(finite, F16_ZERO_BITS) { 0 } else { finite };
    let sum = f32::from_bits(small) + f32::from_bits(F16_UNIT_BITS);
    let denormal = sum.to_bits().wrapping_sub(F16_UNIT_BITS);
    let rounded = if is_below(finite, F16_NORMAL_BITS) { denormal } else { normal };
    let quiet = if is_below(INFINITY_BITS, magnitude) { 0x200 } else { 0 };
    let special = 0x7c00 | quiet | ((magnitude >> 13) & 0x3ff);
    let half = if is_below(magnitude, INFINITY_BITS) { rounded } else { special };
    (half | ((bits & SIGN_BIT) >> 16)) as u16
}

#[inline(always)]
pub(super) fn from_f16(half: u16) -> f32 {
    let bits = u32::from(half);
    let magnitude = (bits & 0x7fff) << 13;
    let exponent = magnitude & (0x7c00 << 13);
    let normal = magnitude + BIAS_BITS;
    let special = normal + BIAS_BITS;
    let unit = f32::from_bits(F16_NORMAL_BITS);
    let denormal = (f32::from_bits(magnitude + F16_NORMAL_BITS) - unit).to_bits();
    let small = if exponent == 0 { denormal } else { normal };
    let value = if exponent == 0x7c00 << 13 { special } else { small };
    f32::from_bits(value | ((bits & 0x8000) << 16))
}

/// Values as they lie in memory.
pub(super) fn encode_f32(values: &[f32], bytes: &mut [u8]) {
    let (bytes, _) = bytes.as_chunks_mut();
    for (to, value) in bytes.iter_mut().zip(values) {
        *to = value.to_le_bytes();
    }
}

/// Values as they lie in memory.
pub(super) fn decode_f32(bytes: &[u8], values: &mut [f32]) {
    let (bytes, _) = bytes.as_chunks();
    for (value, &from) in values.iter_mut().zip(bytes) {
        *value = f32::from_le_bytes(from);
    }
}

#[multiversion(targets("x86_64+avx2"))]
pub(super) fn encode_bf16(values: &[f32], bytes: &mut [u8]) {
    let (bytes, _) = bytes.as_chunks_mut();
    for (to, &value) in bytes.iter_mut().zip(values) {
        *to = to_bf16(value).to_le_bytes();
    }
}

#[multiversion(targets("x86_64+avx2"))]
pub(super) fn decode_bf16(bytes: &[u8], values: &mut [f32]) {
    let (bytes, _) = bytes.as_chunks();
    for (value, &from) in values.iter_mut().zip(bytes) {
        *value = from_bf16(u16::from_le_bytes(from));
    }
}

#[multiversion(targets("x86_64+avx2"))]
pub(super) fn encode_f16(values: &[f32], bytes: &mut [u8]) {
    let (bytes, _) = bytes.as_chunks_mut();
    for (to, &value) in bytes.iter_mut().zip(values) {
        *to = to_f16(value).to_le_bytes();
    }
}

#[multiversion(targets("x86_64+avx2"))]
pub(super) fn decode_f16(bytes: &[u8], values: &mut [f32]) {
    let (bytes, _) = bytes.as_chunks();
    for (value, &from) in values.iter_mut().zip(bytes) {
        *value = from_f16(u16::from_le_bytes(from));
    }
}
