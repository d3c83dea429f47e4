//! What training and measures make of the labels, for people: which class is meant, and how much each counts.

use crate::model::Objective;
use ps_core::Task;
use ps_core::loss::Loss;
use ps_core::schema::output_names;
use ps_data::Dataset;

/// Weights that are named.
const NAMED_MAX: usize = 12;

/// A line for each thing that labels alone do not say.
pub(crate) fn lines(data: &Dataset, loss: &Loss) -> Vec<String> {
    let names = output_names(data.schema.as_deref(), data.outputs);
    let mut lines = Vec::new();
    if let (Task::Classification, [other, positive]) = (data.task, names.as_slice()) {
        lines.push(format!(
            "of the classes `{other}` and `{positive}` the second is the positive one: F1, AUC and --positive-weight are about \
             `{positive}`"
        ));
    }
    // What is wrong with them is said when the model is made.
    let objective = Objective::new(data.task, loss, &names, data.train.labels()).ok();
    let weights = objective.iter().flat_map(|it| names.iter().zip(it.weights()));
    let weights: Vec<String> =
        weights.map(|(name, weight)| format!("`{name}` {weight:.4}")).collect();
    if !weights.is_empty() {
        let more = if weights.len() > NAMED_MAX { ", .." } else { "" };
        let few = weights.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
        lines.push(format!("weights in training: {few}{more}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use ps_core::loss::Weights;
    use ps_data::{Features, Samples};

    #[test]
    fn the_positive_class_and_the_weights_are_named() {
        let samples = |labels: Vec<u32>| {
            Samples::new(Features::Floats(vec![0.0; labels.len()].into()), vec![1], labels).unwrap()
        };
        let data = Dataset::new(samples(vec![0, 0, 0, 1]), samples(Vec::new()), 2);
        assert_eq!(lines(&data, &Loss::default()).len(), 1);
        let balanced = Loss { weights: Weights::Balanced, ..Loss::default() };
        let told = lines(&data, &balanced);
        assert!(told[0].ends_with("are about `1`"), "{told:?}");
        assert_eq!(told[1], "weights in training: `0` 0.6667, `1` 2.0000");
        let three = Dataset::new(samples(vec![0, 1, 2]), samples(Vec::new()), 3);
        assert!(lines(&three, &Loss::default()).is_empty());
    }
}
