//! The losses of steps over the whole training, as few as can be drawn.

use crate::report::CurvePoint;
use serde::{Deserialize, Serialize};

/// Points of a curve, of which as many again may be on the way to be one.
const POINTS_MAX: usize = 1_000;

/// Losses as workers tell them with their heartbeats: each point is the mean of as many of them in a row as keep their
/// number within bounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LossCurve {
    points: Vec<CurvePoint>,
    /// Losses of one point.
    each: u32,
    /// Sum and count of those that are no point yet, and the last one's step.
    open: (f64, u32, u64),
}

impl Default for LossCurve {
    fn default() -> Self {
        Self { points: Vec::new(), each: 1, open: (0.0, 0, 0) }
    }
}

impl LossCurve {
    /// Takes in the loss of a step when so many were done by all workers together.
    pub(super) fn add(&mut self, steps: u64, loss: f64) {
        if !loss.is_finite() {
            return;
        }
        let (sum, count, _) = self.open;
        self.open = (sum + loss, count + 1, steps);
        if self.open.1 >= self.each {
            self.points.extend(self.open_point());
            self.open = (0.0, 0, 0);
        }
        if self.points.len() >= 2 * POINTS_MAX {
            self.halve();
        }
    }

    /// Each two neighbours become one.
    fn halve(&mut self) {
        let merged = self.points.chunks(2).map(|pair| {
            let loss = pair.iter().map(|point| point.loss).sum::<f64>() / pair.len() as f64;
            CurvePoint { loss, ..pair[pair.len() - 1] }
        });
        self.points = merged.collect();
        self.each = self.each.saturating_mul(2);
    }

    fn open_point(&self) -> Option<CurvePoint> {
        let (sum, count, step) = self.open;
        (count > 0).then(|| CurvePoint { step, loss: sum / f64::from(count) })
    }

    /// All points, in order.
    pub(super) fn points(&self) -> Vec<CurvePoint> {
        self.points.iter().copied().chain(self.open_point()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However many losses there are, all of them count, and few points tell them.
        #[test]
        fn a_curve_is_short_and_has_the_mean_of_all(losses in 1..20_000_u64) {
            let mut curve = LossCurve::default();
            for step in 1..=losses {
                curve.add(step, step as f64);
            }
            let points = curve.points();
            prop_assert!(points.len() <= 2 * POINTS_MAX + 1);
            prop_assert!(points.is_sorted_by(|one, other| one.step < other.step));
            prop_assert_eq!(points.last().map(|point| point.step), Some(losses));
            prop_assert!(points.is_sorted_by(|one, other| one.loss < other.loss));
            if losses >= 4 * POINTS_MAX as u64 {
                prop_assert!(points.len() >= POINTS_MAX, "{}", points.len());
            }
        }
    }

    #[test]
    fn losses_that_are_not_finite_are_no_points() {
        let mut curve = LossCurve::default();
        curve.add(1, f64::NAN);
        curve.add(2, 0.5);
        assert_eq!(curve.points(), [CurvePoint { step: 2, loss: 0.5 }]);
    }
}
