//! What a model's outputs are for: the loss that training makes small.

use candle_core::{Result, Tensor};
use ps_core::Task;
use ps_core::loss::{Loss, LossKind, Weights};
use ps_data::Labels;
use ps_nn::{NumberLoss, Phase, cross_entropy, number_loss, weighted_cross_entropy};

/// A task with its loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    task: Task,
    loss: OutputLoss,
    /// Of each output, in training; all the same where there are none.
    weights: Vec<f32>,
}

#[derive(Clone, Debug, PartialEq)]
enum OutputLoss {
    Softmax,
    Sigmoid,
    Numbers(NumberLoss),
}

impl Default for Objective {
    /// Classes that all count the same.
    fn default() -> Self {
        Self { task: Task::Classification, loss: OutputLoss::Softmax, weights: Vec::new() }
    }
}

impl Objective {
    /// The objective of a task with outputs of these names; weights may follow from the training labels.
    ///
    /// # Errors
    /// A loss that the task does not have, or weights that cannot be; in words.
    pub fn new(
        task: Task,
        loss: &Loss,
        names: &[String],
        labels: &Labels,
    ) -> std::result::Result<Self, String> {
        let output_loss = match loss.kind.of_task(task)? {
            LossKind::Absolute => OutputLoss::Numbers(NumberLoss::Absolute),
            LossKind::Huber => {
                let delta = loss.huber_delta.unwrap_or(1.0) as f32;
                OutputLoss::Numbers(NumberLoss::Huber(delta))
            }
            LossKind::Squared => OutputLoss::Numbers(NumberLoss::Squared),
            LossKind::Sigmoid => OutputLoss::Sigmoid,
            LossKind::Softmax | LossKind::Auto => OutputLoss::Softmax,
        };
        let weights = weights(task, &loss.weights, names, labels)?;
        Ok(Self { task, loss: output_loss, weights })
    }

    /// What is to be told.
    pub fn task(&self) -> Task {
        self.task
    }

    /// The weight of each output in training; none where all count the same.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The mean loss of a batch from a model's outputs `[samples, outputs]`: of classes before the softmax, of several labels
    /// before the sigmoid. Weights count in training alone.
    ///
    /// # Errors
    /// Outputs of another shape.
    pub fn loss(&self, outputs: &Tensor, labels: &Tensor, phase: Phase) -> Result<Tensor> {
        let is_training = matches!(phase, Phase::Training { .. });
        let weights = if is_training { &self.weights[..] } else { &[] };
        match &self.loss {
            OutputLoss::Softmax if weights.is_empty() => cross_entropy(outputs, labels),
            OutputLoss::Softmax => weighted_cross_entropy(outputs, labels, weights),
            OutputLoss::Sigmoid => {
                let loss = NumberLoss::BinaryCrossEntropy(weights.to_vec());
                number_loss(outputs, labels, &loss)
            }
            OutputLoss::Numbers(loss) => number_loss(outputs, labels, loss),
        }
    }
}

fn weights(
    task: Task,
    asked: &Weights,
    names: &[String],
    labels: &Labels,
) -> std::result::Result<Vec<f32>, String> {
    let outputs = names.len();
    if task == Task::Regression && *asked != Weights::Equal {
        return Err(
            "--class-weights and --positive-weight: numbers have no classes; see --task".to_owned()
        );
    }
    match asked {
        Weights::Equal => Ok(Vec::new()),
        Weights::Balanced => balanced(outputs, labels),
        Weights::Positive(weight) => match (task, outputs) {
            (Task::Classification, 2) => Ok(vec![1.0, *weight as f32]),
            (Task::MultiLabel, _) => Ok(vec![*weight as f32; outputs]),
            (_, classes) => Err(format!(
                "--positive-weight: {classes} classes, expected two, or several labels; see --class-weights"
            )),
        },
        Weights::Named(named) => {
            let mut weights = vec![1.0; outputs];
            for (name, weight) in named {
                let at = names.iter().position(|it| it == name).ok_or_else(|| {
                    format!("--class-weights: `{name}` is none of {}", names.join(", "))
                })?;
                weights[at] = *weight as f32;
            }
            Ok(weights)
        }
    }
}

/// Weights with which each class counts as much as another, and a sample 1 on average; or a label that samples have as much as
/// that they have it not.
fn balanced(outputs: usize, labels: &Labels) -> std::result::Result<Vec<f32>, String> {
    let samples = labels.len();
    if samples == 0 {
        return Err("--class-weights balanced: no process sees all labels of a stream, of shares, or of a model that is only \
                    used; give NAME=WEIGHT,.."
            .to_owned());
    }
    let mut counts = vec![0_u64; outputs];
    match labels {
        Labels::Classes(classes) => {
            classes.iter().for_each(|class| counts[*class as usize] += 1);
            let occurring = counts.iter().filter(|count| **count > 0).count();
            let weight = |count: &u64| match count {
                0 => 1.0,
                count => (samples as f64 / (occurring as f64 * *count as f64)) as f32,
            };
            Ok(counts.iter().map(weight).collect())
        }
        Labels::Numbers { .. } => {
            for sample in 0..samples {
                let has = labels.numbers(sample).iter().zip(&mut counts);
                has.for_each(|(label, count)| *count += u64::from(*label > 0.5));
            }
            let weight = |count: &u64| match (count, samples as u64 - count) {
                (0, _) | (_, 0) => 1.0,
                (has, has_not) => (has_not as f64 / *has as f64) as f32,
            };
            Ok(counts.iter().map(weight).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights_of(
        task: Task,
        weights: Weights,
        labels: Labels,
    ) -> std::result::Result<Vec<f32>, String> {
        let names = ["no".to_owned(), "yes".to_owned()];
        let loss = Loss { weights, ..Loss::default() };
        Ok(Objective::new(task, &loss, &names, &labels)?.weights().to_vec())
    }

    #[test]
    fn weights_are_named_or_follow_from_the_labels() {
        let labels = || Labels::from(vec![0, 0, 0, 1]);
        let classes = |weights| weights_of(Task::Classification, weights, labels());
        assert_eq!(classes(Weights::Equal), Ok(vec![]));
        assert_eq!(classes(Weights::Balanced), Ok(vec![4.0 / 6.0, 2.0]));
        assert_eq!(classes(Weights::Positive(3.0)), Ok(vec![1.0, 3.0]));
        assert_eq!(classes(Weights::Named(vec![("yes".into(), 5.0)])), Ok(vec![1.0, 5.0]));
        let flags =
            Labels::Numbers { each: 2, values: vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0] };
        let balanced = weights_of(Task::MultiLabel, Weights::Balanced, flags);
        assert_eq!(balanced, Ok(vec![3.0, 1.0]), "no sample has the second");
    }

    #[test]
    fn what_cannot_be_weighed_is_refused() {
        let named = Weights::Named(vec![("maybe".into(), 5.0)]);
        let error = weights_of(Task::Classification, named, Labels::default()).unwrap_err();
        assert!(error.contains("`maybe` is none of no, yes"), "{error}");
        let error = weights_of(Task::Classification, Weights::Balanced, Labels::default());
        assert!(error.unwrap_err().contains("no process sees all labels"));
        let error = weights_of(Task::Regression, Weights::Positive(2.0), Labels::default());
        assert!(error.unwrap_err().contains("numbers have no classes"));
    }
}
