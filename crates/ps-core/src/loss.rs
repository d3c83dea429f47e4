//! What training makes small, as the user chooses it.

use crate::task::Task;
use serde::{Deserialize, Serialize};
use strum::{EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// Which loss; a model of one's own may have another.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum LossKind {
    /// softmax for classes, squared for numbers, sigmoid for several labels.
    #[default]
    Auto,
    /// Cross entropy of one of some classes.
    Softmax,
    /// Cross entropy of each label by itself.
    Sigmoid,
    /// Mean of the squared errors.
    Squared,
    /// Mean of the absolute errors: outliers count less.
    Absolute,
    /// Squared for small errors, absolute for those above --huber-delta.
    Huber,
}

/// What training makes small.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Loss {
    /// Which loss.
    pub kind: LossKind,
    /// Of Huber's loss: the error, in deviations of the label, from which on it counts as absolute. 1 where nobody says.
    pub huber_delta: Option<f64>,
    /// How much each class, or each label that a sample has, counts while training; not where a model is measured.
    pub weights: Weights,
}

/// How much classes count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weights {
    /// All the same.
    #[default]
    Equal,
    /// As if there were as many samples of each class; of several labels, as many with each as without.
    Balanced,
    /// By the name of the class or label; others count 1.
    Named(Vec<(String, f64)>),
    /// Of two classes, the second; of several labels, each.
    Positive(f64),
}

/// Above which weight of a class something else is meant.
const WEIGHT_MAX: f64 = 1e6;

impl LossKind {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The loss for a task.
    ///
    /// # Errors
    /// It is none for this task, in words.
    pub fn of_task(self, task: Task) -> Result<Self, String> {
        let (own, others): (Self, &[Self]) = match task {
            Task::Classification => (Self::Softmax, &[]),
            Task::Regression => (Self::Squared, &[Self::Absolute, Self::Huber]),
            Task::MultiLabel => (Self::Sigmoid, &[]),
        };
        match self {
            Self::Auto => Ok(own),
            kind if kind == own || others.contains(&kind) => Ok(kind),
            kind => {
                let all: Vec<&str> = [own].iter().chain(others).map(|kind| kind.name()).collect();
                Err(format!(
                    "--loss {}: the task is {task}, whose losses are {}; see --task",
                    kind.name(),
                    all.join(", ")
                ))
            }
        }
    }
}

impl Loss {
    /// Checks numbers and what goes together.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn validate(&self) -> Result<(), String> {
        if let Some(delta) = self.huber_delta {
            if !(delta.is_finite() && delta > 0.0) {
                return Err(format!("--huber-delta {delta}: expected a finite number above 0"));
            }
            if self.kind != LossKind::Huber {
                return Err("--huber-delta without --loss huber: no other loss has it".to_owned());
            }
        }
        let is_weight = |weight: f64| weight > 0.0 && weight <= WEIGHT_MAX;
        let wrong = match &self.weights {
            Weights::Named(all) => all.iter().map(|(_, weight)| *weight).find(|it| !is_weight(*it)),
            Weights::Positive(weight) => Some(*weight).filter(|it| !is_weight(*it)),
            Weights::Equal | Weights::Balanced => None,
        };
        match wrong {
            Some(weight) => {
                Err(format!("a class weight of {weight}, expected above 0, at most {WEIGHT_MAX}"))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_has_losses_of_its_own() {
        assert_eq!(LossKind::Auto.of_task(Task::Regression), Ok(LossKind::Squared));
        assert_eq!(LossKind::Huber.of_task(Task::Regression), Ok(LossKind::Huber));
        let error = LossKind::Squared.of_task(Task::Classification).unwrap_err();
        assert!(error.contains("--loss squared") && error.contains("softmax"), "{error}");
        let error = LossKind::Softmax.of_task(Task::Regression).unwrap_err();
        assert!(error.contains("squared, absolute, huber"), "{error}");
    }

    #[test]
    fn nonsense_is_refused() {
        let loss = |kind, huber_delta, weights| Loss { kind, huber_delta, weights }.validate();
        assert!(loss(LossKind::Huber, Some(2.0), Weights::Equal).is_ok());
        assert!(loss(LossKind::Huber, Some(0.0), Weights::Equal).is_err());
        assert!(loss(LossKind::Auto, Some(2.0), Weights::Equal).is_err());
        assert!(loss(LossKind::Auto, None, Weights::Positive(f64::NAN)).is_err());
        let named = Weights::Named(vec![("a".into(), 2.0), ("b".into(), -1.0)]);
        assert!(loss(LossKind::Auto, None, named).unwrap_err().contains("-1"));
    }
}
