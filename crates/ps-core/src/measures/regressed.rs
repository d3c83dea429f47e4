//! How near a model came to numbers.

use super::{Measure, named};
use crate::schema::{Moments, Scale};

/// What a model said of one sample after another, in the numbers' own units.
#[derive(Clone, Debug, Default)]
pub struct Regressed {
    /// By output.
    scales: Vec<Scale>,
    /// By output: the numbers, and sums of the errors.
    outputs: Vec<(Moments, f64, f64)>,
}

impl Regressed {
    /// Nothing yet, of outputs with these scales.
    pub fn new(scales: Vec<Scale>) -> Self {
        let outputs = vec![(Moments::default(), 0.0, 0.0); scales.len()];
        Self { scales, outputs }
    }

    /// Takes in a sample: its labels, and the model's outputs, both as a model has them.
    pub fn add(&mut self, labels: &[f32], outputs: &[f32]) {
        let pairs = labels.iter().zip(outputs).zip(&self.scales);
        for (((label, output), scale), sums) in pairs.zip(&mut self.outputs) {
            let number = scale.number(*label);
            let error = (f64::from(*output) - f64::from(*label)) * scale.deviation;
            sums.0.add(number);
            sums.1 += error * error;
            sums.2 += error.abs();
        }
    }

    /// Root mean square error, mean absolute error, and the share of the numbers' variance that the model explains (not of
    /// numbers that are all the same); of several outputs, the mean over them.
    pub fn measures(&self) -> Vec<Measure> {
        let of = |one: fn(&(Moments, f64, f64)) -> f64| {
            let values: Vec<f64> = self.outputs.iter().map(one).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let count = |it: &(Moments, f64, f64)| it.0.count as f64;
        named([
            ("rmse", of(|it| (it.1 / it.0.count as f64).sqrt())),
            ("mae", of(|it| it.2 / it.0.count as f64)),
            (
                "r2",
                of(|it| 1.0 - it.1 / it.0.squares())
                    .filter(|_| self.outputs.iter().all(|it| count(it) > 1.0)),
            ),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_in_the_numbers_own_units() {
        let scale = Scale { mean: 100.0, deviation: 10.0 };
        let mut found = Regressed::new(vec![scale]);
        // 90, 100 and 120, said to be 90, 110 and 110.
        for (label, output) in [(-1.0, -1.0), (0.0, 1.0), (2.0, 1.0)] {
            found.add(&[label], &[output]);
        }
        let measures = found.measures();
        let value = |name: &str| measures.iter().find(|it| it.name == name).unwrap().value;
        assert!((value("rmse") - (200.0_f64 / 3.0).sqrt()).abs() < 1e-9);
        assert!((value("mae") - 20.0 / 3.0).abs() < 1e-9);
        let mean = 310.0 / 3.0;
        let squares: f64 = [90.0, 100.0, 120.0].iter().map(|it: &f64| (it - mean).powi(2)).sum();
        assert!((value("r2") - (1.0 - 200.0 / squares)).abs() < 1e-9);
    }

    #[test]
    fn what_makes_no_sense_is_not_told() {
        assert_eq!(Regressed::new(vec![Scale::default()]).measures(), []);
        let mut constant = Regressed::new(vec![Scale::default()]);
        constant.add(&[1.0], &[1.5]);
        constant.add(&[1.0], &[0.5]);
        let names: Vec<String> = constant.measures().into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["rmse", "mae"], "no variance to explain");
    }
}
