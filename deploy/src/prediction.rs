//! What a model says of one sample, for people and programs.

use serde_json::{Map, Value};

/// The class that is most probable.
pub fn best(probabilities: &[f32]) -> usize {
    let best = probabilities.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1));
    best.map_or(0, |(class, _)| class)
}

/// The prediction and the probability of each class, as fields of an object.
pub fn fields(classes: &[String], probabilities: &[f32]) -> Map<String, Value> {
    let shares = classes.iter().cloned().zip(probabilities.iter().map(|share| shortest(*share)));
    let prediction = classes.get(best(probabilities)).cloned().unwrap_or_default();
    Map::from_iter([
        ("prediction".to_owned(), Value::from(prediction)),
        ("probabilities".to_owned(), Value::Object(shares.collect())),
    ])
}

/// With no more digits than an `f32` has.
fn shortest(share: f32) -> Value {
    share.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

/// The prediction, then the probability of each class.
pub fn values(classes: &[String], probabilities: &[f32]) -> impl Iterator<Item = String> {
    let prediction = classes.get(best(probabilities)).cloned().unwrap_or_default();
    std::iter::once(prediction).chain(probabilities.iter().map(f32::to_string))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_probable_class_is_told_with_all_shares() {
        let classes = ["ash".to_owned(), "a,b".to_owned()];
        assert_eq!(values(&classes, &[0.1, 0.9]).collect::<Vec<_>>(), ["a,b", "0.1", "0.9"]);
        let text = Value::Object(fields(&classes, &[0.7, 0.3])).to_string();
        assert_eq!(text, r#"{"prediction":"ash","probabilities":{"a,b":0.3,"ash":0.7}}"#);
    }
}
