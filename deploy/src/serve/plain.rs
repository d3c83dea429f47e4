//! Samples of a model that was not trained on a table: numbers, and ids where it looks something up.

use ps_data::{InputWidth, Inputs};
use ps_worker::model::IdColumn;
use serde_json::Value;

/// The samples of a request, one after another.
pub(super) struct PlainSamples<'a> {
    width: InputWidth,
    ids: &'a [IdColumn],
    pub(super) inputs: Inputs,
}

impl<'a> PlainSamples<'a> {
    pub(super) fn new(width: InputWidth, ids: &'a [IdColumn]) -> Self {
        Self { width, ids, inputs: Inputs::default() }
    }

    /// The next sample: its features, then its ids.
    pub(super) fn add(&mut self, values: &[f64]) -> Result<(), String> {
        let InputWidth { features, ids } = self.width;
        if values.len() != features + ids {
            return Err(format!("{} values, expected {}", values.len(), self.expected()));
        }
        let (features, ids) = values.split_at(features);
        if let Some(wrong) = features.iter().find(|value| !(**value as f32).is_finite()) {
            return Err(format!("{wrong}: expected a finite number"));
        }
        for (id, column) in ids.iter().zip(self.ids) {
            if !(0.0..f64::from(column.vocabulary)).contains(id) || id.fract() != 0.0 {
                return Err(format!(
                    "{id}: expected an id of `{}`, a whole number below {} (0 where nothing is known)",
                    column.name, column.vocabulary
                ));
            }
        }
        self.inputs.features.extend(features.iter().map(|value| *value as f32));
        self.inputs.ids.extend(ids.iter().map(|id| *id as u32));
        Ok(())
    }

    /// The next sample as JSON: numbers in lists inside each other or not, or an object of `features` and `ids`.
    pub(super) fn add_json(&mut self, sample: &Value) -> Result<(), String> {
        let mut values = Vec::with_capacity(self.width.features + self.width.ids);
        let Value::Object(fields) = sample else {
            flat(sample, &mut values)?;
            return self.add(&values);
        };
        for (name, count) in [("features", self.width.features), ("ids", self.width.ids)] {
            let before = values.len();
            fields.get(name).map_or(Ok(()), |list| flat(list, &mut values))?;
            let found = values.len() - before;
            if found != count {
                return Err(format!("{found} `{name}`, expected {}", self.expected()));
            }
        }
        self.add(&values)
    }

    /// The values of a sample, in words.
    fn expected(&self) -> String {
        let InputWidth { features, ids } = self.width;
        if ids == 0 {
            return format!("{features}");
        }
        let names: Vec<&str> = self.ids.iter().map(|column| column.name.as_str()).collect();
        format!(
            "{features} features and then {ids} ids ({}); in JSON also {{\"features\": [..], \"ids\": [..]}}",
            names.join(", ")
        )
    }
}

fn flat(sample: &Value, values: &mut Vec<f64>) -> Result<(), String> {
    match sample {
        Value::Array(all) => all.iter().try_for_each(|value| flat(value, values)),
        Value::Number(number) => {
            values.push(number.as_f64().unwrap_or(f64::NAN));
            Ok(())
        }
        other => Err(format!("{other}: expected numbers")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn added(sample: Value) -> Result<(Vec<f32>, Vec<u32>), String> {
        let ids = [IdColumn::new("town".to_owned(), 20_000_000)];
        let mut samples = PlainSamples::new(InputWidth { features: 2, ids: 1 }, &ids);
        samples.add_json(&sample)?;
        Ok((samples.inputs.features, samples.inputs.ids))
    }

    /// Found by review: all values were taken for features, and the server said "3 values, expected 3".
    #[test]
    fn regression_ids_stand_behind_the_features_or_have_a_name() {
        let expected = Ok((vec![0.5, 1.0], vec![16_777_217]));
        assert_eq!(added(json!([0.5, 1, 16_777_217])), expected);
        assert_eq!(added(json!([[0.5, 1], [16_777_217]])), expected);
        assert_eq!(added(json!({"features": [0.5, 1], "ids": [16_777_217]})), expected);
    }

    #[test]
    fn what_is_no_sample_is_refused_in_words() {
        let form = "2 features and then 1 ids (town)";
        for (sample, words) in [
            (json!([0.5, 1]), form),
            (json!({"features": [0.5, 1]}), form),
            (json!({"features": [0.5], "ids": [1, 2]}), form),
            (json!([0.5, 1, 1.5]), "an id of `town`, a whole number below 20000000"),
            (json!([0.5, 1, -1]), "an id of `town`"),
            (json!([0.5, 1, 20_000_000]), "an id of `town`"),
            (json!([0.5, 1e300, 1]), "finite"),
            (json!([0.5, "a", 1]), "expected numbers"),
        ] {
            let error = added(sample).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
