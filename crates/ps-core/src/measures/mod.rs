//! Measures of a model over a whole test set, from its outputs and the labels.

mod classified;
mod flagged;
mod ranks;
mod regressed;

use crate::task::Task;
pub use classified::Classified;
pub use flagged::Flagged;
pub use regressed::Regressed;
use serde::{Deserialize, Serialize};

/// Probabilities below it count as it: their logarithm is finite.
const PROBABILITY_MIN: f32 = 1e-15;

/// A measure by its name, as metric lines and reports have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Lower-case letters, digits and underscores.
    pub name: String,
    /// Finite.
    pub value: f64,
}

/// The measures that there are.
fn named<const COUNT: usize>(all: [(&str, Option<f64>); COUNT]) -> Vec<Measure> {
    let finite = |(name, value): (&str, Option<f64>)| {
        let value = value.filter(|value| value.is_finite())?;
        Some(Measure { name: name.to_owned(), value })
    };
    all.into_iter().filter_map(finite).collect()
}

/// A model's outputs for a sample become what they stand for: the probability of each class or label; numbers are as they are.
pub fn to_predictions(task: Task, outputs: &mut [f32]) {
    match task {
        Task::Classification => softmax(outputs),
        Task::Regression => (),
        Task::MultiLabel => outputs.iter_mut().for_each(|output| *output = sigmoid(*output)),
    }
}

/// A classifier's outputs for a sample become probabilities.
fn softmax(outputs: &mut [f32]) {
    let most = outputs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for output in outputs.iter_mut() {
        *output = (*output - most).exp();
        sum += *output;
    }
    outputs.iter_mut().for_each(|output| *output /= sum);
}

/// The probability that an output of a label stands for.
fn sigmoid(output: f32) -> f32 {
    1.0 / (1.0 + (-output).exp())
}
