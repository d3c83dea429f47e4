//! The largest values alone: exactly the k largest magnitudes, whatever the values are.

use super::int8::largest_bits;
use crate::optimizer::kernel::MAGNITUDE_BITS;
use multiversion::multiversion;

/// Values whose maximum is taken together: skipped together where it is too small.
const BLOCK: usize = 16;

/// How many of so many values a share stands for: rounded up, at least one.
pub fn kept(share: f64, elements: usize) -> usize {
    ((share * elements as f64).ceil() as usize).clamp(1, elements.max(1))
}

/// Finds the largest values of a chunk; keeps its working memory.
#[derive(Clone, Debug, Default)]
pub struct TopK {
    maxima: Vec<u32>,
    magnitudes: Vec<u32>,
    positions: Vec<u16>,
}

impl TopK {
    /// The positions, rising, of the `count` largest magnitudes; where equal ones do not all have
    /// room, those at the lower positions. Zeros are left out, except for one where all are.
    ///
    /// NaN counts as larger than infinity, infinity as larger than all others. At most a chunk of
    /// values, and at least one.
    pub fn select(&mut self, values: &[f32], count: usize) -> &[u16] {
        // The k-th largest maximum of blocks is no larger than the k-th largest value: as many
        // values reach it as blocks do.
        self.maxima.resize(values.len().div_ceil(BLOCK), 0);
        maxima(values, &mut self.maxima);
        self.magnitudes.clone_from(&self.maxima);
        let floor = nth_largest(&mut self.magnitudes, count).unwrap_or(0).max(1);
        self.candidates(values, floor);
        let Some(limit) = nth_largest(&mut self.magnitudes, count) else {
            if self.positions.is_empty() && !values.is_empty() {
                self.positions.push(0);
            }
            return &self.positions;
        };
        let above = self.magnitudes.iter().filter(|&&magnitude| magnitude > limit).count();
        let mut equal = count - above;
        self.positions.retain(|&position| {
            let found = magnitude(values[usize::from(position)]);
            let has_room = found == limit && equal > 0;
            equal -= usize::from(has_room);
            found > limit || has_room
        });
        &self.positions
    }

    /// Collects the values that are at least so large, with their positions.
    fn candidates(&mut self, values: &[f32], floor: u32) {
        self.magnitudes.clear();
        self.positions.clear();
        let blocks = values.chunks(BLOCK).zip(&self.maxima).enumerate();
        for (number, (block, _)) in blocks.filter(|(_, (_, maximum))| **maximum >= floor) {
            for (place, value) in block.iter().enumerate() {
                let found = magnitude(*value);
                if found >= floor {
                    self.magnitudes.push(found);
                    self.positions.push((number * BLOCK + place) as u16);
                }
            }
        }
    }
}

/// Magnitudes as integers order like the magnitudes.
fn magnitude(value: f32) -> u32 {
    value.to_bits() & MAGNITUDE_BITS
}

/// The `count`-th largest; `None` where there are not so many.
fn nth_largest(magnitudes: &mut [u32], count: usize) -> Option<u32> {
    let from_below = magnitudes.len().checked_sub(count)?;
    if count == 0 {
        return None;
    }
    Some(*magnitudes.select_nth_unstable(from_below).1)
}

#[multiversion(targets("x86_64+avx2"))]
fn maxima(values: &[f32], maxima: &mut [u32]) {
    for (maximum, block) in maxima.iter_mut().zip(values.chunks(BLOCK)) {
        *maximum = largest_bits(block);
    }
}
