//! How strongly weights are held to 0 where samples are few: what few samples say of many inputs is mostly chance.

use super::{DataShape, ModelOptions};
use candle_core::Result;
use ps_core::Task;

/// How many inputs make the hidden layers' L2 as strong as the linear path's. Measured: docs/adr/0035-small-sets.md.
const INPUTS_OF_ONE: f64 = 4.0;

/// Samples for each input below which there are too few for layers: the fewer, the stronger is their L2. Measured there, too.
const SAMPLES_PER_INPUT: f64 = 10.0;

/// Beyond it hidden layers learn nothing anyway, and plain SGD could not follow.
const HIDDEN_MAX: f64 = 1.0;

/// The L2 of an `mlp` with a linear path.
///
/// The linear path has that of scikit-learn's logistic regression and ridge: every sample weighs as much as a prior in which
/// coefficients have the deviation 1, so it is 1 over the number of samples. The hidden layers have it times a quarter of the
/// inputs: a layer whose gradient is not above its own L2 goes to 0, and what chance makes of a gradient rises with the inputs and
/// falls with the samples. Below ten samples an input it rises with both once more. So few samples get a regression, and many get
/// what the layers find beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct L2 {
    /// Of the path from the features to the outputs.
    pub(super) linear: f32,
    /// Of all layers beside it.
    pub(super) hidden: f32,
}

impl L2 {
    /// That of the option `l2`, or by the number of samples; none where nobody knows how many there are.
    ///
    /// # Errors
    /// An option that is no number, or below 0.
    pub(super) fn of(shape: &DataShape, options: &mut ModelOptions) -> Result<Self> {
        let usual = Self::usual(shape);
        let linear = options.take("l2", usual)?;
        if !(linear.is_finite() && linear >= 0.0) {
            candle_core::bail!("option `l2`: found `{linear}`, expected a number from 0 on");
        }
        let inputs = shape.inputs() as f64;
        let scarce = match shape.samples {
            0 => 1.0,
            samples => (SAMPLES_PER_INPUT * inputs / samples as f64).max(1.0),
        };
        let hidden = (linear * inputs / INPUTS_OF_ONE * scarce).min(HIDDEN_MAX);
        let l2 = Self { linear: linear as f32, hidden: hidden as f32 };
        if shape.samples > 0 {
            let (samples, inputs) = (shape.samples, shape.inputs());
            tracing::info!(
                "mlp: {samples} samples with {inputs} inputs: L2 {linear:.2e} on the linear path, {hidden:.2e} on the layers; \
                 the options l2 and linear-path decide otherwise"
            );
        }
        Ok(l2)
    }

    fn usual(shape: &DataShape) -> f64 {
        if shape.samples == 0 {
            return 0.0;
        }
        // Of classes only the differences between the outputs count: a coefficient is spread over one more than are free.
        let outputs = shape.outputs as f64;
        let spread = match shape.task {
            Task::Classification if shape.outputs > 1 => outputs / (outputs - 1.0),
            _ => 1.0,
        };
        spread / shape.samples as f64
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn shape(samples: u64, inputs: usize, outputs: usize, task: Task) -> DataShape {
        DataShape { features: vec![inputs], ids: Vec::new(), task, outputs, samples }
    }

    fn l2(shape: &DataShape, options: &[(&str, &str)]) -> Result<L2> {
        L2::of(shape, &mut options.iter().copied().collect())
    }

    #[test]
    fn it_falls_with_samples_and_rises_with_inputs_and_is_logistic_regressions() {
        let two = l2(&shape(40, 10, 2, Task::Classification), &[]).unwrap();
        assert_eq!(two, L2 { linear: 0.05, hidden: 0.3125 });
        let enough = l2(&shape(100, 10, 2, Task::Classification), &[]).unwrap();
        assert_eq!(enough, L2 { linear: 0.02, hidden: 0.05 });
        let ten = l2(&shape(1000, 64, 10, Task::Classification), &[]).unwrap();
        assert!((ten.linear - 1.111e-3).abs() < 1e-6 && (ten.hidden - 1.778e-2).abs() < 1e-5);
        let number = l2(&shape(20_000, 10, 1, Task::Regression), &[]).unwrap();
        assert_eq!(number, L2 { linear: 5e-5, hidden: 1.25e-4 });
        let most = l2(&shape(1, 10_000, 2, Task::Classification), &[]).unwrap();
        assert_eq!(most, L2 { linear: 2.0, hidden: 1.0 });
    }

    #[test]
    fn there_is_none_where_nobody_knows_the_samples_and_an_option_decides() {
        let stream = shape(0, 10, 2, Task::Classification);
        assert_eq!(l2(&stream, &[]).unwrap(), L2::default());
        assert_eq!(l2(&stream, &[("l2", "0.5")]).unwrap(), L2 { linear: 0.5, hidden: 1.0 });
        for wrong in ["-1", "inf", "NaN", "much"] {
            let error = l2(&stream, &[("l2", wrong)]).unwrap_err().to_string();
            assert!(error.contains("option `l2`"), "{error}");
        }
    }
}
