//! Numbers as a model takes and gives them.

/// A number is `value * deviation + mean`, where a model has the value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Of the training set.
    pub mean: f64,
    /// Of the training set, not 0.
    pub deviation: f64,
}

impl Default for Scale {
    /// Numbers as they are.
    fn default() -> Self {
        Self { mean: 0.0, deviation: 1.0 }
    }
}

impl Scale {
    /// The value that a model has for a number.
    pub fn scaled(self, number: f64) -> f32 {
        ((number - self.mean) / self.deviation) as f32
    }

    /// The number that a model's value stands for.
    pub fn number(self, value: f32) -> f64 {
        f64::from(value) * self.deviation + self.mean
    }
}
