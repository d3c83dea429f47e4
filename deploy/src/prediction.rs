//! What a model says of one sample, for people and programs.

use ps_core::Task;
use ps_core::schema::Scale;
use ps_worker::trained_model::TrainedModel;
use serde_json::{Map, Value};

/// How what a model says is written.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(Default))]
pub struct PredictionFormat {
    task: Task,
    /// Of each output.
    names: Vec<String>,
    /// Of each output that is a number.
    scales: Vec<Scale>,
}

/// What separates the labels that a sample has.
const BETWEEN_LABELS: &str = "|";

/// Digits of a deviation that an `f32` tells apart.
const DIGITS: i32 = 7;

/// From this probability on a sample has a label.
const HAS_LABEL: f32 = 0.5;

impl PredictionFormat {
    /// For this model.
    pub fn new(model: &TrainedModel) -> Self {
        let (task, names, scales) = (model.shape().task, model.output_names(), model.scales());
        Self { task, names, scales }
    }

    /// Values that the model gives for a sample.
    pub fn outputs(&self) -> usize {
        self.names.len()
    }

    /// Names of what is written of a sample: the prediction, then the probability of each class or label; of several numbers,
    /// each of them.
    pub fn columns(&self) -> Vec<String> {
        let of_each =
            |start: &str| self.names.iter().map(|name| format!("{start}_{name}")).collect();
        match self.task {
            Task::Regression if self.names.len() == 1 => vec!["prediction".to_owned()],
            Task::Regression => of_each("prediction"),
            Task::Classification | Task::MultiLabel => {
                let shares: Vec<String> = of_each("p");
                std::iter::once("prediction".to_owned()).chain(shares).collect()
            }
        }
    }

    /// What is written of a sample, in the order of [`Self::columns`].
    pub fn values(&self, predictions: &[f32]) -> Vec<String> {
        let numbers = predictions.iter().map(f32::to_string);
        match self.task {
            Task::Regression => self.numbers(predictions).collect(),
            Task::Classification | Task::MultiLabel => {
                std::iter::once(self.prediction(predictions)).chain(numbers).collect()
            }
        }
    }

    /// The same as fields of an object.
    pub fn fields(&self, predictions: &[f32]) -> Map<String, Value> {
        let numbers = || -> Vec<Value> {
            match self.task {
                Task::Regression => self.numbers(predictions).map(|text| number(&text)).collect(),
                _ => predictions.iter().map(|share| number(&share.to_string())).collect(),
            }
        };
        let named = || Value::Object(self.names.iter().cloned().zip(numbers()).collect());
        let field = |name: &str, value| (name.to_owned(), value);
        match self.task {
            Task::Regression if self.names.len() == 1 => {
                Map::from_iter([field("prediction", numbers().pop().unwrap_or_default())])
            }
            Task::Regression => Map::from_iter([field("prediction", named())]),
            Task::Classification => Map::from_iter([
                field("prediction", Value::from(self.prediction(predictions))),
                field("probabilities", named()),
            ]),
            Task::MultiLabel => Map::from_iter([
                field("prediction", self.labels(predictions).map(Value::from).collect()),
                field("probabilities", named()),
            ]),
        }
    }

    /// The prediction of a sample alone.
    pub fn prediction(&self, predictions: &[f32]) -> String {
        match self.task {
            Task::Classification => self.names.get(best(predictions)).cloned().unwrap_or_default(),
            Task::Regression => self.numbers(predictions).collect::<Vec<_>>().join(BETWEEN_LABELS),
            Task::MultiLabel => self.labels(predictions).collect::<Vec<_>>().join(BETWEEN_LABELS),
        }
    }

    /// Numbers in the label's own units, with as many digits as the model tells apart.
    fn numbers<'a>(&'a self, predictions: &'a [f32]) -> impl Iterator<Item = String> + 'a {
        predictions.iter().zip(&self.scales).map(|(output, scale)| {
            let decimals =
                DIGITS - scale.deviation.abs().log10().ceil().clamp(-300.0, 300.0) as i32;
            let text = format!("{:.*}", decimals.max(0) as usize, scale.number(*output));
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            }
        })
    }

    /// The labels that a sample has.
    fn labels<'a>(&'a self, probabilities: &'a [f32]) -> impl Iterator<Item = &'a str> {
        let pairs = self.names.iter().zip(probabilities);
        pairs.filter(|(_, share)| **share >= HAS_LABEL).map(|(name, _)| name.as_str())
    }
}

/// The class that is most probable.
fn best(probabilities: &[f32]) -> usize {
    let best = probabilities.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1));
    best.map_or(0, |(class, _)| class)
}

/// A number with the digits that it is written with.
fn number(text: &str) -> Value {
    text.parse::<f64>().map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(task: Task, names: &[&str]) -> PredictionFormat {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        PredictionFormat { task, scales: vec![Scale::default(); names.len()], names }
    }

    fn json(format: &PredictionFormat, predictions: &[f32]) -> String {
        Value::Object(format.fields(predictions)).to_string()
    }

    #[test]
    fn the_most_probable_class_is_told_with_all_shares() {
        let format = format(Task::Classification, &["ash", "a,b"]);
        assert_eq!(format.columns(), ["prediction", "p_ash", "p_a,b"]);
        assert_eq!(format.values(&[0.1, 0.9]), ["a,b", "0.1", "0.9"]);
        assert_eq!(
            json(&format, &[0.7, 0.3]),
            r#"{"prediction":"ash","probabilities":{"a,b":0.3,"ash":0.7}}"#
        );
    }

    #[test]
    fn a_number_is_told_alone_and_several_by_their_names() {
        let one = format(Task::Regression, &["price"]);
        assert_eq!(
            (one.columns(), one.values(&[2.5])),
            (vec!["prediction".into()], vec!["2.5".into()])
        );
        assert_eq!(json(&one, &[2.5]), r#"{"prediction":2.5}"#);
        let two = format(Task::Regression, &["price", "size"]);
        assert_eq!(two.columns(), ["prediction_price", "prediction_size"]);
        assert_eq!(json(&two, &[2.5, 3.0]), r#"{"prediction":{"price":2.5,"size":3.0}}"#);
    }

    #[test]
    fn regression_numbers_with_a_large_mean_keep_the_digits_that_the_model_tells_apart() {
        let mut seconds = format(Task::Regression, &["at"]);
        seconds.scales = vec![Scale { mean: 1e9, deviation: 1.4 }];
        assert_eq!(seconds.values(&[0.5]), ["1000000000.7"]);
        assert_eq!(json(&seconds, &[-0.25]), r#"{"prediction":999999999.65}"#);
        seconds.scales = vec![Scale { mean: 0.0, deviation: 1e-20 }];
        assert_eq!(seconds.values(&[0.5]), ["0.000000000000000000005"]);
    }

    #[test]
    fn labels_that_a_sample_has_are_told_with_all_shares() {
        let format = format(Task::MultiLabel, &["new", "sold"]);
        assert_eq!(format.values(&[0.75, 0.5]), ["new|sold", "0.75", "0.5"]);
        assert_eq!(format.values(&[0.25, 0.25])[0], "");
        assert_eq!(
            json(&format, &[0.75, 0.25]),
            r#"{"prediction":["new"],"probabilities":{"new":0.75,"sold":0.25}}"#
        );
    }
}
