//! What an evaluation finds: loss, accuracy and other measures over one set of samples.

use crate::digits::digits;
use crate::measures::Measure;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which samples an evaluation is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvaluationSet {
    /// Those that tell at the end how good the model is.
    #[default]
    Test,
    /// Those that tell during training which weights are worth keeping.
    Validation,
}

impl EvaluationSet {
    /// As metric lines have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Validation => "validation",
        }
    }
}

/// How good weights are on one set.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Mean loss over the samples; not a number where there are none.
    pub loss: f64,
    /// Share of the samples that were classified rightly.
    pub accuracy: Option<f64>,
    /// What else was measured.
    pub measures: Vec<Measure>,
    /// How many samples there are.
    pub samples: u64,
}

impl Scores {
    /// What a program measured: its loss is a measure like the others, on how many samples it is only the program knows.
    pub fn of_program(accuracy: Option<f64>, measures: Vec<Measure>) -> Self {
        Self { loss: f64::NAN, accuracy, measures, samples: 0 }
    }

    /// Every measure by its name, loss and accuracy among them; those that are not finite are not there.
    pub fn by_name(&self) -> impl Iterator<Item = (&str, f64)> {
        let loss = (self.samples > 0).then_some(("loss", self.loss));
        let accuracy = self.accuracy.map(|accuracy| ("accuracy", accuracy));
        let others = self.measures.iter().map(|it| (it.name.as_str(), it.value));
        loss.into_iter().chain(accuracy).chain(others).filter(|(_, value)| value.is_finite())
    }

    /// One measure by its name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.by_name().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The parts of a metric line, in the order that lines have always had: accuracy, loss, then
    /// `between`, then the others.
    pub fn line(&self, set: EvaluationSet, between: &str) -> String {
        let (set, mut line) = (set.name(), String::new());
        if let Some(accuracy) = self.accuracy {
            line.push_str(&format!(" {set}_accuracy={};", digits(accuracy)));
        }
        // Without samples there is no loss on them.
        if self.samples > 0 {
            line.push_str(&format!(" {set}_loss={};", digits(self.loss)));
        }
        line.push_str(between);
        for Measure { name, value } in &self.measures {
            line.push_str(&format!(" {set}_{name}={};", digits(*value)));
        }
        line
    }

    /// The same as lines of their own, `final_SET_NAME=VALUE;`.
    pub fn final_lines(&self, set: EvaluationSet) -> Vec<String> {
        let line = self.line(set, "");
        let parts = line.split_inclusive(';').map(str::trim);
        parts.map(|part| format!("final_{part}")).collect()
    }

    /// As reports have it.
    pub fn report(&self) -> ScoresReport {
        ScoresReport {
            // A program's is a measure like the others.
            loss: self.get("loss"),
            accuracy: self.accuracy,
            measures: self.measures.iter().map(|it| (it.name.clone(), it.value)).collect(),
            samples: self.samples,
        }
    }
}

/// How good weights are on one set, in a report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoresReport {
    /// Mean loss over the samples, if it is finite.
    pub loss: Option<f64>,
    /// Share of the samples that were classified rightly.
    pub accuracy: Option<f64>,
    /// What else was measured, by name.
    #[serde(default)]
    pub measures: BTreeMap<String, f64>,
    /// How many samples there are.
    pub samples: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores() -> Scores {
        let auc = Measure { name: "auc".to_owned(), value: 0.75 };
        Scores { loss: 0.5, accuracy: Some(0.9), measures: vec![auc], samples: 10 }
    }

    #[test]
    fn lines_have_each_measure_once() {
        let line = scores().line(EvaluationSet::Validation, " train_loss=1.0000;");
        let expected = " validation_accuracy=0.9000; validation_loss=0.5000; train_loss=1.0000; \
                        validation_auc=0.7500;";
        assert_eq!(line, expected);
        let lines = scores().final_lines(EvaluationSet::Test);
        let expected =
            ["final_test_accuracy=0.9000;", "final_test_loss=0.5000;", "final_test_auc=0.7500;"];
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_is_no_number_has_no_name() {
        assert_eq!(scores().get("auc"), Some(0.75));
        assert_eq!(scores().get("rmse"), None);
        assert_eq!(Scores { loss: f64::NAN, ..scores() }.get("loss"), None);
        let none = Scores { loss: 0.0, accuracy: None, measures: Vec::new(), samples: 0 };
        assert_eq!(none.by_name().count(), 0);
        assert_eq!(none.line(EvaluationSet::Test, ""), "");
        assert!(none.final_lines(EvaluationSet::Test).is_empty());
    }
}
