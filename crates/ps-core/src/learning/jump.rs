//! The first loss that is far above those just before it: where a run went wrong, seen afterwards.

use super::divergence::far_above;
use std::collections::VecDeque;

/// Losses that the next one is held against.
const RECENT: usize = 64;

/// Losses from which on their own spread says what is far; before, it is what is far above a start.
const FEWEST: usize = 8;

/// How far above the median a loss is a jump, as a multiple of the median distance from it.
const SPREADS: f64 = 10.0;

/// What a jump amounts to at least, as a share of the median of the first losses, and of 1 where that is smaller: late in
/// training the losses of batches are next to nothing, and many times as much is nothing still.
const SHARE_OF_START: f64 = 0.5;

/// A loss that is far above those before it, or no number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossJump {
    /// The median of up to 64 losses before it; `None`: there was none.
    pub median: Option<f64>,
    /// The largest loss that would have been no jump; `None`: any number.
    pub limit: Option<f64>,
}

/// Watches the losses of single pushes, in order, for the first jump.
#[derive(Clone, Debug, Default)]
pub struct JumpWatch {
    recent: VecDeque<f64>,
    /// The median of the first losses, once they are enough.
    start: Option<f64>,
}

impl JumpWatch {
    /// Takes the next loss; how it is a jump, if it is one. Then it is not counted among those that later ones are held
    /// against.
    ///
    /// A jump is a loss that is NaN or infinite, or above a limit: the median of up to 64 losses before it and 10 times their
    /// median distance from it, but at least half the median of the first 8 losses (at least 0.5). As long as there are
    /// fewer than 8, the limit is the median and 9 times as much (at least 9).
    pub fn observe(&mut self, loss: f64) -> Option<LossJump> {
        let middle = median(self.recent.iter().copied());
        let limit = middle.map(|middle| self.limit(middle));
        if !loss.is_finite() || limit.is_some_and(|limit| loss > limit) {
            return Some(LossJump { median: middle, limit });
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(loss);
        if self.start.is_none() && self.recent.len() == FEWEST {
            self.start = median(self.recent.iter().copied());
        }
        None
    }

    fn limit(&self, middle: f64) -> f64 {
        let Some(start) = self.start else { return far_above(middle) };
        let distances = self.recent.iter().map(|loss| (loss - middle).abs());
        let spread = median(distances).unwrap_or(0.0);
        middle + (SPREADS * spread).max(SHARE_OF_START * start.abs().max(1.0))
    }
}

/// The value in the middle; of an even number, the upper one.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_jump(losses: &[f64]) -> Option<usize> {
        let mut watch = JumpWatch::default();
        losses.iter().position(|loss| watch.observe(*loss).is_some())
    }

    /// Training as it goes, with the noise of small batches.
    fn falling(steps: u64) -> Vec<f64> {
        let noise = |step: u64| (step * 7 % 11) as f64 / 11.0 - 0.5;
        (0..steps)
            .map(|step| (2.3 * (-0.02 * step as f64).exp() + 0.05) * (1.0 + noise(step)))
            .collect()
    }

    #[test]
    fn a_loss_that_falls_with_noise_does_not_jump() {
        assert_eq!(first_jump(&falling(400)), None);
        // One that begins at its optimum, and one that learns nothing.
        assert_eq!(first_jump(&[0.0; 100]), None);
        assert_eq!(first_jump(&[0.0, 0.0, 0.01, 0.0, 0.02, 0.0, 0.0, 0.01, 0.03, 0.04]), None);
        assert_eq!(first_jump(&[2.3; 100]), None);
    }

    #[test]
    fn the_first_loss_that_is_far_above_is_found() {
        for at in [20, 100, 350] {
            let mut losses = falling(400);
            losses[at] += 8.0;
            losses[at + 2] += 9.0;
            assert_eq!(first_jump(&losses), Some(at));
        }
        let mut late = falling(400);
        late[390] = 2.3;
        assert_eq!(first_jump(&late), Some(390), "as bad as at the start");
    }

    /// Found by replaying a job that went on from a checkpoint: losses of batches of a good model, one of which is much above
    /// the others, and still good.
    #[test]
    fn regression_a_poor_batch_of_a_good_model_is_no_jump() {
        let losses = [0.03, 0.02, 0.04, 0.01, 0.02, 0.0965, 0.03, 0.02, 0.01, 0.03, 0.02, 0.135];
        assert_eq!(first_jump(&losses), None);
    }

    #[test]
    fn no_number_is_a_jump_at_any_time() {
        for bad in [f64::NAN, f64::INFINITY] {
            assert_eq!(first_jump(&[bad]), Some(0));
            assert_eq!(first_jump(&[2.3, bad]), Some(1));
        }
        assert_eq!(
            first_jump(&[2.3, 2.9, 30.0]),
            Some(2),
            "there are few, and it is far above them"
        );
        assert_eq!(first_jump(&[2.3, 5.0, 9.0]), None, "with few losses nobody knows their spread");
    }

    #[test]
    fn what_it_is_held_against_is_told() {
        let mut watch = JumpWatch::default();
        assert!((0..8).all(|_| watch.observe(2.0).is_none()));
        let jump = watch.observe(4.0).unwrap();
        assert_eq!(jump, LossJump { median: Some(2.0), limit: Some(3.0) });
        assert!(watch.observe(2.9).is_none(), "a jump counts for nothing later");
    }
}
