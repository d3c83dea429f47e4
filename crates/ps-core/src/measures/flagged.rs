//! How well a model told which of some labels samples have.

use super::ranks::auc;
use super::{Measure, PROBABILITY_MIN, named};

/// What a model said of one sample after another.
#[derive(Clone, Debug, Default)]
pub struct Flagged {
    labels: usize,
    /// Sample after sample: the probability of each label, and whether the sample has it.
    all: Vec<(f32, bool)>,
}

impl Flagged {
    /// Nothing yet, of so many labels.
    pub fn new(labels: usize) -> Self {
        Self { labels, all: Vec::new() }
    }

    /// Takes in a sample: 1 for each label that it has, else 0, and the probability of each.
    pub fn add(&mut self, labels: &[f32], probabilities: &[f32]) {
        let pairs = probabilities.iter().copied().zip(labels.iter().map(|label| *label > 0.5));
        self.all.extend(pairs.take(self.labels));
    }

    /// The share of labels told right, of samples with all labels told right, F1 over all labels, the mean AUC of those that
    /// some samples have and others not, and the mean log loss of a label.
    pub fn measures(&self) -> Vec<Measure> {
        let is_right = |(share, has): &(f32, bool)| (*share >= 0.5) == *has;
        let share = |right: usize, of: usize| (of > 0).then(|| right as f64 / of as f64);
        let samples = self.all.chunks_exact(self.labels.max(1));
        let whole = samples.clone().filter(|sample| sample.iter().all(is_right)).count();
        let right = self.all.iter().filter(|it| is_right(it)).count();
        named([
            ("label_accuracy", share(right, self.all.len())),
            ("exact_match", share(whole, samples.len())),
            ("f1", self.f1()),
            ("auc", self.auc()),
            ("log_loss", self.log_loss()),
        ])
    }

    fn f1(&self) -> Option<f64> {
        let has = self.all.iter().filter(|(_, has)| *has).count();
        let said = self.all.iter().filter(|(share, _)| *share >= 0.5).count();
        let both = self.all.iter().filter(|(share, has)| *has && *share >= 0.5).count();
        (has + said > 0).then(|| 2.0 * both as f64 / (has + said) as f64)
    }

    fn auc(&self) -> Option<f64> {
        let of_label = |label| auc(self.all.iter().skip(label).step_by(self.labels).copied());
        let all: Vec<f64> = (0..self.labels).filter_map(of_label).collect();
        (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
    }

    fn log_loss(&self) -> Option<f64> {
        let one = |(share, has): &(f32, bool)| {
            let likelihood = if *has { *share } else { 1.0 - *share };
            -f64::from(likelihood.max(PROBABILITY_MIN)).ln()
        };
        (!self.all.is_empty())
            .then(|| self.all.iter().map(one).sum::<f64>() / self.all.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_measured_as_by_hand() {
        let mut found = Flagged::new(2);
        found.add(&[1.0, 0.0], &[0.9, 0.2]);
        found.add(&[0.0, 1.0], &[0.6, 0.7]);
        let measures = found.measures();
        let value = |name: &str| measures.iter().find(|it| it.name == name).unwrap().value;
        assert_eq!((value("label_accuracy"), value("exact_match")), (0.75, 0.5));
        assert!((value("f1") - 2.0 * 2.0 / (2.0 + 3.0)).abs() < 1e-12);
        assert_eq!(value("auc"), 1.0);
        let log_loss = -(0.9_f64.ln() + 0.8_f64.ln() + 0.4_f64.ln() + 0.7_f64.ln()) / 4.0;
        assert!((value("log_loss") - log_loss).abs() < 1e-6);
        assert_eq!(Flagged::new(3).measures(), []);
    }
}
