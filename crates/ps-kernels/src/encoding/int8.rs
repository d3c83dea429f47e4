//! A signed byte per value, in blocks that each have the scale of their largest magnitude.

use crate::optimizer::kernel::{FLOOR, MAGNITUDE_BITS, keep};
use multiversion::multiversion;

/// Values of one block; its scale adds a 64th to its bytes.
pub const BLOCK: usize = 256;

const SCALE_BYTES: usize = size_of::<f32>();

/// Largest quantum: -128 is not used, so that a value and its opposite are equally exact.
const LARGEST_QUANTUM: f32 = 127.0;

/// The largest scale whose product with the largest quantum is finite.
const SCALE_MAX: f32 = f32::from_bits((f32::MAX / LARGEST_QUANTUM).to_bits() - 1);

/// Adding 1.5 * 2^23 rounds to an integer, ties to even, which the sum's lowest byte then holds.
const ROUNDING: f32 = 12_582_912.0;

/// Bytes of so many values: a byte for each and a scale for each block.
pub(super) fn encoded_bytes(elements: usize) -> usize {
    elements + elements.div_ceil(BLOCK) * SCALE_BYTES
}

/// How one block is written.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    scale: f32,
    inverse: f32,
    /// What is below it rounds to zero; left out, no product is denormal.
    floor: f32,
}

impl Scale {
    /// For this largest magnitude; a NaN is larger than all others.
    #[inline(always)]
    pub(super) fn new(largest: f32) -> Self {
        if !largest.is_finite() {
            return Self { scale: f32::NAN, inverse: 0.0, floor: f32::INFINITY };
        }
        if largest < FLOOR {
            return Self { scale: 0.0, inverse: 0.0, floor: f32::INFINITY };
        }
        let scale = (largest / LARGEST_QUANTUM).min(SCALE_MAX);
        Self { scale, inverse: LARGEST_QUANTUM / largest, floor: largest / 512.0 }
    }

    #[inline(always)]
    pub(super) fn quantum(self, value: f32) -> u8 {
        (keep(value, self.floor) * self.inverse + ROUNDING).to_bits() as u8
    }
}

/// Bits of the largest magnitude of a block.
#[inline(always)]
pub(super) fn largest_bits(block: &[f32]) -> u32 {
    let magnitudes = block.iter().map(|value| (value.to_bits() & MAGNITUDE_BITS).cast_signed());
    magnitudes.fold(0, i32::max).cast_unsigned()
}

#[multiversion(targets("x86_64+avx2"))]
pub(super) fn encode(values: &[f32], bytes: &mut [u8]) {
    for (block, to) in values.chunks(BLOCK).zip(bytes.chunks_mut(SCALE_BYTES + BLOCK)) {
        let scale = Scale::new(f32::from_bits(largest_bits(block)));
        let Some((head, quanta)) = to.split_first_chunk_mut() else { return };
        *head = scale.scale.to_le_bytes();
        if scale.scale.is_nan() {
            // What a NaN is rounded to may differ between processors, and nobody reads it.
            quanta.fill(0);
            continue;
        }
        for (quantum, &value) in quanta.iter_mut().zip(block) {
            *quantum = scale.quantum(value);
        }
    }
}

#[multiversion(targets("x86_64+avx2"))]
pub(super) fn decode(bytes: &[u8], values: &mut [f32]) {
    for (block, from) in values.chunks_mut(BLOCK).zip(bytes.chunks(SCALE_BYTES + BLOCK)) {
        let Some((head, quanta)) = from.split_first_chunk() else { return };
        let scale = f32::from_le_bytes(*head);
        for (value, &quantum) in block.iter_mut().zip(quanta) {
            *value = scale * f32::from(quantum.cast_signed());
        }
    }
}
