//! What a classifier did on a whole test set, from its probabilities and the labels.

use super::ranks::auc;
use super::{Measure, PROBABILITY_MIN, named};

/// Equal parts of the range of confidence, in which calibration is looked at.
const CALIBRATION_BINS: usize = 10;

/// What a classifier said of one sample after another.
#[derive(Clone, Debug, Default)]
pub struct Classified {
    classes: usize,
    labels: Vec<u32>,
    predicted: Vec<u32>,
    /// The probability of what was predicted.
    confidence: Vec<f32>,
    /// The probability of the second class, where there are two.
    positive: Vec<f32>,
    /// The sum of the logarithms of the labels' probabilities.
    log_likelihood: f64,
}

impl Classified {
    /// Nothing yet, of so many classes.
    pub fn new(classes: usize) -> Self {
        Self { classes, ..Self::default() }
    }

    /// Takes in a sample: its label, and the probability of each class.
    pub fn add(&mut self, label: u32, probabilities: &[f32]) {
        let best = probabilities.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1));
        let (class, confidence) = best.map_or((0, 0.0), |(class, share)| (class as u32, *share));
        let likelihood = probabilities.get(label as usize).copied().unwrap_or_default();
        self.log_likelihood += f64::from(likelihood.max(PROBABILITY_MIN)).ln();
        self.labels.push(label);
        self.predicted.push(class);
        self.confidence.push(confidence);
        if self.classes == 2 {
            self.positive.push(probabilities.get(1).copied().unwrap_or_default());
        }
    }

    /// All measures that make sense: those of an empty set, or of a single class, do not.
    pub fn measures(&self) -> Vec<Measure> {
        named([
            ("balanced_accuracy", self.balanced_accuracy()),
            ("f1", self.f1()),
            ("auc", self.auc()),
            ("log_loss", self.log_loss()),
            ("calibration_error", self.calibration_error()),
        ])
    }

    /// Of each class: samples that have it, that were said to have it, and both.
    fn counts(&self) -> Vec<(u64, u64, u64)> {
        let classes =
            self.classes.max(self.labels.iter().max().map_or(0, |most| *most as usize + 1));
        let mut counts = vec![(0, 0, 0); classes];
        for (label, predicted) in self.labels.iter().zip(&self.predicted) {
            counts[*label as usize].0 += 1;
            if let Some(count) = counts.get_mut(*predicted as usize) {
                count.1 += 1;
            }
            counts[*label as usize].2 += u64::from(label == predicted);
        }
        counts
    }

    /// The mean over the classes that occur of the share of their samples that were told.
    fn balanced_accuracy(&self) -> Option<f64> {
        let counts = self.counts();
        let occurring = counts.iter().filter(|(labels, ..)| *labels > 0);
        let shares: Vec<f64> =
            occurring.map(|(labels, _, both)| *both as f64 / *labels as f64).collect();
        (shares.len() > 1).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
    }

    /// Of two classes that of the second; of more the mean over all that occur or were said.
    fn f1(&self) -> Option<f64> {
        let counts = self.counts();
        let f1 =
            |(labels, said, both): &(u64, u64, u64)| 2.0 * *both as f64 / (labels + said) as f64;
        if self.classes == 2 {
            return counts.get(1).filter(|(labels, said, _)| labels + said > 0).map(f1);
        }
        let shares: Vec<f64> =
            counts.iter().filter(|(labels, said, _)| labels + said > 0).map(f1).collect();
        (shares.len() > 1).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
    }

    fn auc(&self) -> Option<f64> {
        let pairs = || self.positive.iter().copied().zip(self.labels.iter().map(|it| *it == 1));
        let is_of_two = self.classes == 2 && self.labels.iter().all(|label| *label < 2);
        is_of_two.then(|| auc(pairs()))?
    }

    /// The mean of minus the logarithm of the label's probability.
    fn log_loss(&self) -> Option<f64> {
        (!self.labels.is_empty()).then(|| -self.log_likelihood / self.labels.len() as f64)
    }

    /// How far confidence is from accuracy, in the mean over samples in bins of confidence (Naeini et al., 2015).
    fn calibration_error(&self) -> Option<f64> {
        let mut bins = [(0_u64, 0.0_f64, 0_u64); CALIBRATION_BINS];
        for ((label, predicted), confidence) in
            self.labels.iter().zip(&self.predicted).zip(&self.confidence)
        {
            let bin = (*confidence as f64 * CALIBRATION_BINS as f64) as usize;
            let bin = &mut bins[bin.min(CALIBRATION_BINS - 1)];
            *bin =
                (bin.0 + 1, bin.1 + f64::from(*confidence), bin.2 + u64::from(label == predicted));
        }
        let samples = self.labels.len() as f64;
        let sum: f64 =
            bins.iter().map(|(_, confidence, right)| (confidence - *right as f64).abs()).sum();
        (samples > 0.0).then(|| sum / samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn measure(classified: &Classified, name: &str) -> Option<f64> {
        classified.measures().iter().find(|it| it.name == name).map(|it| it.value)
    }

    fn binary(samples: &[(u32, f32)]) -> Classified {
        let mut all = Classified::new(2);
        samples.iter().for_each(|(label, share)| all.add(*label, &[1.0 - share, *share]));
        all
    }

    #[test]
    fn two_classes_are_measured_as_by_hand() {
        let all = binary(&[(0, 0.1), (0, 0.4), (1, 0.35), (1, 0.8)]);
        assert_eq!(measure(&all, "auc"), Some(0.75));
        assert_eq!(measure(&all, "balanced_accuracy"), Some(0.75));
        assert!((measure(&all, "f1").unwrap() - 2.0 / 3.0).abs() < 1e-12);
        // In bins: 0.6 wrong no, right; 0.65 wrong; 0.8 and 0.9 right.
        let calibration = measure(&all, "calibration_error").unwrap();
        assert!(
            (calibration - ((0.6_f64 + 0.65 - 1.0).abs() + 0.2 + 0.1) / 4.0).abs() < 1e-6,
            "{calibration}"
        );
    }

    #[test]
    fn what_makes_no_sense_is_not_told() {
        assert_eq!(Classified::new(2).measures(), []);
        let one_class = binary(&[(1, 0.7), (1, 0.9)]);
        assert_eq!(
            (measure(&one_class, "auc"), measure(&one_class, "balanced_accuracy")),
            (None, None)
        );
        let mut three = Classified::new(3);
        for (label, shares) in [(0, [0.8, 0.1, 0.1]), (1, [0.2, 0.7, 0.1]), (2, [0.6, 0.3, 0.1])] {
            three.add(label, &shares);
        }
        assert_eq!(measure(&three, "auc"), None);
        assert!((measure(&three, "balanced_accuracy").unwrap() - 2.0 / 3.0).abs() < 1e-12);
        assert!((measure(&three, "f1").unwrap() - (2.0 / 3.0 + 1.0 + 0.0) / 3.0).abs() < 1e-12);
        // A class that the model does not have.
        three.add(5, &[0.8, 0.1, 0.1]);
        assert!((measure(&three, "balanced_accuracy").unwrap() - 0.5).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn auc_is_the_share_of_pairs(samples in prop::collection::vec((0..2_u32, 0..8_u8), 0..40)) {
            let samples: Vec<(u32, f32)> = samples.iter().map(|(label, share)| (*label, f32::from(*share) / 8.0)).collect();
            let of = |wanted: u32| samples.iter().filter(move |(label, _)| *label == wanted).map(|(_, share)| *share);
            let pairs = of(1).count() * of(0).count();
            let mut won = 0.0;
            for one in of(1) {
                for other in of(0) {
                    won += if one > other { 1.0 } else if one == other { 0.5 } else { 0.0 };
                }
            }
            let expected = (pairs > 0).then(|| won / pairs as f64);
            let found = measure(&binary(&samples), "auc");
            prop_assert_eq!(found.is_some(), expected.is_some());
            if let (Some(found), Some(expected)) = (found, expected) {
                prop_assert!((found - expected).abs() < 1e-9, "{} {}", found, expected);
            }
        }
    }
}
