//! Hyperparameters: every SDK writes them differently, and all of them mean options of ours.
//!
//! A value is JSON if it can be read as JSON, else plain text, as in the sagemaker-training
//! toolkit: `"mlp"` and `"\"mlp\""` are the same word, `"true"` and `"True"` the same answer.

use super::Error;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The switch that SageMaker's framework estimators set for `parameter_server`.
pub const PARAMETER_SERVER_SWITCH: &str = "sagemaker_parameter_server_enabled";

/// Hyperparameters by name as they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hyperparameters {
    /// The text that an option of a command line would have, or nothing for null and for an empty
    /// text.
    options: BTreeMap<String, Option<String>>,
    /// The values as the sagemaker-training toolkit decodes them.
    decoded: BTreeMap<String, Value>,
}

impl Hyperparameters {
    /// From hyperparameters.json: an object of texts.
    ///
    /// # Errors
    /// It is no object.
    pub fn from_file(text: &str) -> Result<Self, Error> {
        let object = object("hyperparameters.json", text)?;
        let mut read = Self::default();
        for (name, value) in object {
            let (option, decoded) = match value {
                Value::String(text) => {
                    let decoded = serde_json::from_str(&text).ok();
                    (decode(&text), decoded.unwrap_or(Value::String(text)))
                }
                // Nobody is known to write it, and its meaning is clear.
                other => (plain(&other), other),
            };
            read.options.insert(name.clone(), option);
            read.decoded.insert(name, decoded);
        }
        Ok(read)
    }

    /// From a variable such as `SM_HPS`, whose values were decoded before.
    ///
    /// # Errors
    /// It is no object.
    pub fn from_variable(name: &str, text: &str) -> Result<Self, Error> {
        let object = object(name, text)?;
        let options = object.iter().map(|(name, value)| (name.clone(), plain(value))).collect();
        Ok(Self { options, decoded: object.into_iter().collect() })
    }

    /// These and the others, which win.
    #[must_use]
    pub fn with(mut self, others: Self) -> Self {
        self.options.extend(others.options);
        self.decoded.extend(others.decoded);
        self
    }

    /// The value of one, by its exact name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.options.get(name)?.as_deref()
    }

    /// Whether one is set to true, however that is spelt.
    pub fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| boolean(value) == Some(true))
    }

    /// All that are meant for us and have a value, in order.
    pub fn ours(&self) -> impl Iterator<Item = (&str, &str)> {
        let given = self
            .options
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)));
        given.filter(|(name, _)| !is_the_frameworks(name))
    }

    /// All as the toolkit decodes them, in the order of their names.
    pub fn decoded(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.decoded.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// What the toolkit gives a program: `--name value`, or `-n value`, in the order of the names,
    /// the values as Python prints them.
    pub fn arguments(&self) -> impl Iterator<Item = (&str, String)> {
        let given =
            self.decoded().filter(|(name, _)| *name == "model_dir" || !is_the_frameworks(name));
        given.map(|(name, value)| {
            (
                name,
                match value {
                    Value::Object(pairs) => {
                        let pair = |(key, value): (&String, &Value)| {
                            format!("{key}={}", python(value, false))
                        };
                        pairs.iter().map(pair).collect::<Vec<_>>().join(",")
                    }
                    Value::Null => String::new(),
                    value => python(value, false),
                },
            )
        })
    }
}

/// Whether SDKs and tuning jobs add it by themselves: it is known, and not for us.
fn is_the_frameworks(name: &str) -> bool {
    name.starts_with("sagemaker_") || name.starts_with("_tuning_") || name == "model_dir"
}

fn object(what: &str, text: &str) -> Result<Map<String, Value>, Error> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Error::new(format!("reading {what}: expected a JSON object: {error}")))?;
    match value {
        Value::Object(object) => Ok(object),
        Value::Null => Ok(Map::new()),
        other => Err(Error::new(format!("reading {what}: expected a JSON object, found {other}"))),
    }
}

/// A text from the file: JSON first, as it stands after.
fn decode(text: &str) -> Option<String> {
    let trimmed = text.trim();
    match serde_json::from_str(trimmed) {
        // The digits as they were written: 0.10 stays 0.10.
        Ok(Value::Number(_)) => Some(trimmed.to_owned()),
        Ok(value) => plain(&value),
        Err(_) => match list(trimmed) {
            Some(items) => plain(&items),
            None => Some(text.to_owned()).filter(|_| !trimmed.is_empty() && trimmed != "None"),
        },
    }
}

/// A list, or a Python tuple: what `str()` makes of one, in SDK v2's generic estimator.
fn list(text: &str) -> Option<Value> {
    let tuple = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let list = || text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let inside = tuple.or_else(list)?.trim().trim_end_matches(',');
    serde_json::from_str(&format!("[{inside}]")).ok()
}

/// A value as it would stand on a command line; lists are joined by commas.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Bool(is_so) => Some(is_so.to_string()),
        Value::Number(number) => Some(number.to_string()),
        // A list that was a text to whoever wrote it means the list: nothing of ours starts so.
        Value::String(text) if text.trim().starts_with(['[', '(']) => {
            list(text.trim()).map_or_else(|| Some(text.clone()), |items| plain(&items))
        }
        Value::String(text) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        Value::Array(items) => {
            let items = items.iter().map(|item| plain(item).unwrap_or_default());
            Some(items.collect::<Vec<_>>().join(","))
        }
        Value::Object(pairs) => {
            let pairs = pairs
                .iter()
                .map(|(key, value)| format!("{key}={}", plain(value).unwrap_or_default()));
            Some(pairs.collect::<Vec<_>>().join(","))
        }
    }
}

/// A value as Python's `str` shows it, texts in others as its `repr` does.
fn python(value: &Value, is_inside: bool) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if is_inside => format!("'{}'", text.replace('\'', "\\'")),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| python(item, true)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(pairs) => {
            let pair =
                |(key, value): (&String, &Value)| format!("'{key}': {}", python(value, true));
            format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Yes or no, in the spellings of JSON and Python.
pub fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> BTreeMap<String, Option<String>> {
        Hyperparameters::from_file(text).unwrap().options
    }

    fn value(spelling: &str) -> Option<String> {
        let file = serde_json::json!({ "x": spelling }).to_string();
        read(&file).remove("x").unwrap()
    }

    #[test]
    fn all_spellings_mean_the_same() {
        for (spelling, meaning) in [
            ("mlp", "mlp"),
            ("\"mlp\"", "mlp"),
            ("0.1", "0.1"),
            ("0.10", "0.10"),
            ("\"0.1\"", "0.1"),
            ("1e-3", "1e-3"),
            ("[64, 32]", "64,32"),
            ("\"[64, 32]\"", "64,32"),
            ("[not a list", "[not a list"),
            ("(64, 32)", "64,32"),
            ("(64,)", "64"),
            ("[]", ""),
            ("true", "true"),
            ("True", "True"),
            ("{\"b\": 1, \"a\": true}", "a=true,b=1"),
            ("{not json", "{not json"),
            ("two words", "two words"),
            ("-1", "-1"),
        ] {
            assert_eq!(value(spelling).as_deref(), Some(meaning), "{spelling}");
        }
        for nothing in ["", "  ", "null", "None", "\"\""] {
            assert_eq!(value(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn what_sdks_add_is_not_ours() {
        let file = r#"{"lr": "0.1", "model_dir": "\"s3://b\"", "_tuning_objective_metric": "a",
                       "sagemaker_parameter_server_enabled": "True", "empty": ""}"#;
        let read = Hyperparameters::from_file(file).unwrap();
        assert_eq!(read.ours().collect::<Vec<_>>(), [("lr", "0.1")]);
        assert!(read.is_true(PARAMETER_SERVER_SWITCH));
        assert!(!read.is_true("sagemaker_mpi_enabled"));
    }

    #[test]
    fn variables_were_decoded_before() {
        let text = r#"{"hidden":[64,32],"lr":0.1,"n":null,"name":"mlp","opt":{"a":1},"shuffle":true,
                       "word":"\"quoted\""}"#;
        let read = Hyperparameters::from_variable("SM_HPS", text).unwrap();
        let all: Vec<_> = read.ours().collect();
        let expected = [
            ("hidden", "64,32"),
            ("lr", "0.1"),
            ("name", "mlp"),
            ("opt", "a=1"),
            ("shuffle", "true"),
            ("word", "\"quoted\""),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn what_is_no_object_is_refused_in_words() {
        for (text, word) in [("[1]", "[1]"), ("{", "JSON object"), ("7", "7")] {
            let error = Hyperparameters::from_file(text).unwrap_err().to_string();
            assert!(error.contains("hyperparameters.json") && error.contains(word), "{error}");
        }
        assert_eq!(read("null"), BTreeMap::new());
    }

    #[test]
    fn answers_are_read_in_any_case() {
        for yes in ["true", "True", "TRUE", "1", " true "] {
            assert_eq!(boolean(yes), Some(true), "{yes}");
        }
        for no in ["false", "False", "0"] {
            assert_eq!(boolean(no), Some(false), "{no}");
        }
        assert_eq!(boolean("yes"), None);
    }

    proptest! {
        /// However an SDK spells a text, a number or a list of numbers, we read the same.
        #[test]
        fn spellings_round_trip(text in "[a-zA-Z_/.:][a-zA-Z0-9_/.: -]{0,20}", number in -1e6..1e6_f64,
                                list in prop::collection::vec(0..10_000_u32, 0..6)) {
            let text = text.trim().to_owned();
            prop_assume!(!["null", "None", "true", "false"].contains(&text.as_str()));
            let quoted = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(value(&text), Some(text.clone()));
            prop_assert_eq!(value(&quoted), Some(text));
            let number = number.to_string();
            prop_assert_eq!(value(&number), Some(number));
            let joined = list.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            let spaced = list.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            prop_assert_eq!(value(&format!("[{spaced}]")), Some(joined.clone()));
            prop_assert_eq!(value(&format!("[{joined}]")), Some(joined.clone()));
            prop_assert_eq!(value(&format!("({spaced})")), Some(joined));
        }

        /// No text whatsoever breaks us, and one that we refuse is refused in words.
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}", value_text in ".{0,60}") {
            let _ = Hyperparameters::from_file(&text);
            let _ = value(&value_text);
        }
    }
}
