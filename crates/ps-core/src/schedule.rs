//! How the learning rate changes while a job progresses.

mod error;

use std::f64::consts::PI;

pub use error::Error;
use error::require;
use serde::{Deserialize, Serialize};

/// The factor that warm-up starts from; not zero, so that the first push counts.
pub const WARMUP_START: f64 = 0.01;

/// Steps are taken a hair early, so that 0.3 of a job is three times 0.1 despite rounding.
const STEP_TOLERANCE: f64 = 1e-9;

/// The course of the rate over a job, as a factor on its base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum Schedule {
    /// The same throughout.
    #[default]
    Constant,
    /// Multiplied by `factor` at every multiple of `every`.
    Step {
        /// Fraction of the job between changes, in (0, 1]. Every k of P passes is k / P.
        every: f64,
        /// What the rate is multiplied by, in (0, 1].
        factor: f64,
    },
    /// Half a cosine wave from 1 down to `minimum`.
    Cosine {
        /// The factor at the job's end, in [0, 1].
        minimum: f64,
    },
}

/// The learning rate of a job: its base, its course and its warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearningRate {
    /// The rate that the schedule's factor multiplies.
    pub base: f64,
    /// The course over the job.
    #[serde(default)]
    pub schedule: Schedule,
    /// Fraction of the job, in [0, 1), over which the rate also rises linearly to its full value.
    #[serde(default)]
    pub warmup: f64,
}

impl Schedule {
    /// A schedule by name. Numbers left out: a step every third of the job by 0.1, a cosine to 0.
    ///
    /// # Errors
    /// An unknown name, a number that the schedule does not use, or one out of range.
    pub fn parse(
        name: &str,
        every: Option<f64>,
        factor: Option<f64>,
        minimum: Option<f64>,
    ) -> Result<Self, Error> {
        let schedule = match name {
            "constant" => Self::Constant,
            "step" => {
                Self::Step { every: every.unwrap_or(1.0 / 3.0), factor: factor.unwrap_or(0.1) }
            }
            "cosine" => Self::Cosine { minimum: minimum.unwrap_or(0.0) },
            _ => return Err(Error::UnknownName(name.to_owned())),
        };
        let steps = matches!(schedule, Self::Step { .. });
        let waves = matches!(schedule, Self::Cosine { .. });
        for (number, given, taken) in [
            ("every", every.is_some(), steps),
            ("factor", factor.is_some(), steps),
            ("minimum", minimum.is_some(), waves),
        ] {
            if given && !taken {
                return Err(Error::NotTaken { schedule: schedule.name(), number });
            }
        }
        schedule.validate()?;
        Ok(schedule)
    }

    /// The name that [`Schedule::parse`] takes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Step { .. } => "step",
            Self::Cosine { .. } => "cosine",
        }
    }

    /// Checks that every number is in its range.
    ///
    /// # Errors
    /// The first number out of range, with the range.
    pub fn validate(&self) -> Result<(), Error> {
        match *self {
            Self::Constant => Ok(()),
            Self::Step { every, factor } => {
                let positive = "above 0 and at most 1";
                require(0.0 < every && every <= 1.0, "every", every, positive)?;
                require(0.0 < factor && factor <= 1.0, "factor", factor, positive)
            }
            Self::Cosine { minimum } => {
                let share = "at least 0 and at most 1";
                require((0.0..=1.0).contains(&minimum), "minimum", minimum, share)
            }
        }
    }

    /// The rate at a point of the job from 0 to 1; outside, that of the nearer end.
    pub fn rate(&self, base: f64, progress: f64) -> f64 {
        let progress = within_job(progress);
        base * match *self {
            Self::Constant => 1.0,
            Self::Step { every, factor } => {
                factor.powf((progress / every + STEP_TOLERANCE).floor())
            }
            Self::Cosine { minimum } => {
                minimum + (1.0 - minimum) * 0.5 * (1.0 + (PI * progress).cos())
            }
        }
    }
}

impl LearningRate {
    /// The same rate throughout.
    pub fn constant(base: f64) -> Self {
        Self { base, schedule: Schedule::Constant, warmup: 0.0 }
    }

    /// Checks that every number is in its range.
    ///
    /// # Errors
    /// The first number out of range, with the range.
    pub fn validate(&self) -> Result<(), Error> {
        // The base travels as `f32`.
        let base = self.base;
        let in_range = base > 0.0 && base <= f64::from(f32::MAX);
        require(in_range, "the base rate", base, "above 0 and finite")?;
        let warmup = self.warmup;
        require((0.0..1.0).contains(&warmup), "warmup", warmup, "at least 0 and below 1")?;
        self.schedule.validate()
    }

    /// The rate to push with at a point of the job from 0 to 1.
    ///
    /// During warm-up the schedule's rate is multiplied by a factor that rises linearly from
    /// [`WARMUP_START`] to 1; the schedule itself starts with the job.
    pub fn rate(&self, progress: f64) -> f32 {
        let progress = within_job(progress);
        let warmth = if progress < self.warmup {
            WARMUP_START + (1.0 - WARMUP_START) * progress / self.warmup
        } else {
            1.0
        };
        (self.schedule.rate(self.base, progress) * warmth) as f32
    }
}

/// Progress clamped to the job; a job of no samples (0 of 0) is at its start.
fn within_job(progress: f64) -> f64 {
    if progress.is_nan() { 0.0 } else { progress.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests;
