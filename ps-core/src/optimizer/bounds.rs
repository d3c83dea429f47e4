//! Upper bounds on a chunk's magnitudes, from which most updates are known not to overflow.

use super::kernel;

/// Results below this cannot overflow: a factor of four under the largest `f32`, for intermediates.
const LIMIT: f64 = (1_u128 << 126) as f64;

/// Covers the rounding of the few operations of one step.
const ROUNDING: f64 = 1.0 + 1e-6;

/// No weight and no state of a chunk is larger in magnitude than this.
///
/// Looser than the truth after many updates, which costs nothing: an update that might overflow by
/// these bounds is tried on a copy and the bounds are measured again.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// On the weights.
    pub weights: f64,
    /// On each of the optimizer's state vectors; zero where there is none.
    pub slots: [f64; 2],
}

impl Bounds {
    /// The exact magnitudes, `None` when a value is NaN or infinite.
    pub fn measure(weights: &[f32], slots: &[Vec<f32>]) -> Option<Self> {
        let largest = |values: &[f32]| kernel::largest_magnitude(bytemuck::cast_slice(values));
        let mut bounds = Self { weights: largest(weights)?.into(), slots: [0.0; 2] };
        for (bound, slot) in bounds.slots.iter_mut().zip(slots) {
            *bound = largest(slot)?.into();
        }
        Some(bounds)
    }

    /// Bounds that hold for elements with either history, and after rounding.
    pub fn join(self, after: Self) -> Self {
        // Not `max`, which would drop a NaN and call an undefined result safe.
        let either = |before: f64, after: f64| {
            let after = after * ROUNDING;
            if after <= before { before } else { after }
        };
        Self {
            weights: either(self.weights, after.weights),
            slots: [either(self.slots[0], after.slots[0]), either(self.slots[1], after.slots[1])],
        }
    }

    /// Whether every result within these bounds is finite. False where a bound is NaN.
    pub fn are_safe(&self) -> bool {
        self.weights < LIMIT && self.slots.iter().all(|&slot| slot < LIMIT)
    }
}
