//! How far a loss rose above its start, and what became of it.

use super::Losses;
use crate::digits::digits;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A loss that rose far above that of the first steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rise {
    /// The highest loss of a step, as far as it is known; `None` where one was NaN or infinite.
    pub loss: Option<f64>,
    /// The step that had it, or the last one of those that were told with it; of all workers together,
    /// from 1.
    pub step: u64,
    /// Whether the newest losses are far above the start still.
    pub lasts: bool,
}

impl Rise {
    /// Takes in losses that are far above the start, or no numbers; the last of them was this step's.
    pub(super) fn with(before: Option<Self>, losses: &Losses, step: u64) -> Self {
        let highest = losses.highest.or(losses.mean());
        let loss = if losses.steps_not_finite > 0 { None } else { highest };
        let is_higher = |before: &Self| match (before.loss, loss) {
            (Some(before), Some(loss)) => loss > before,
            (Some(_), None) => true,
            (None, _) => false,
        };
        match before.filter(|before| !is_higher(before)) {
            Some(before) => Self { lasts: true, ..before },
            None => Self { loss, step, lasts: true },
        }
    }
}

impl fmt::Display for Rise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.loss {
            Some(loss) => write!(f, "rose to {} by step {}", digits(loss), self.step)?,
            None => write!(f, "rose until it was no number any more by step {}", self.step)?,
        }
        f.write_str(if self.lasts { " and did not come back" } else { " and came back" })
    }
}
