//! What training and measures make of the labels, for people: which class is meant, and how much each counts.

use crate::config::DataArgs;
use crate::model::Objective;
use ps_core::Task;
use ps_core::cut::cut;
use ps_core::limits::OBJECTIVE_BYTES_MAX;
use ps_core::loss::{Loss, Weights};
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

/// What is learnt, in words that are the same for the same options.
pub(crate) fn objective(read: &DataArgs, data: &Dataset, loss: &Loss) -> String {
    let task = data.task;
    let schema = data.schema_digest.map(|it| format!("table {it:016x}, ")).unwrap_or_default();
    let table = read.table.options();
    let labels: Vec<String> = table.labels.iter().map(ToString::to_string).collect();
    let labels = if labels.is_empty() { "last".to_owned() } else { labels.join(",") };
    let kind = loss.kind.of_task(task).unwrap_or_default().name();
    let delta = loss.huber_delta.map(|delta| format!(" ({delta})")).unwrap_or_default();
    let weights = match &loss.weights {
        Weights::Equal => String::new(),
        Weights::Balanced => ", balanced".to_owned(),
        Weights::Positive(weight) => format!(", positive weight {weight}"),
        Weights::Named(named) => format!(", weights {named:?}"),
    };
    let words = format!("{schema}{task} of label {labels}, loss {kind}{delta}{weights}");
    cut(&words, OBJECTIVE_BYTES_MAX).to_owned()
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
