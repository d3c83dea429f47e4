//! The body of a request becomes samples.

use super::batcher::About;
use ps_core::schema::Schema;
use ps_data::{Inputs, SampleEncoder, SchemaReader};
use serde_json::Value;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFormat {
    /// Lines of values.
    Csv,
    /// One document.
    Json,
    /// A document a line.
    JsonLines,
}

impl BodyFormat {
    /// The format that a content type names.
    pub(super) fn named(content_type: &str) -> Option<Self> {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        match kind.to_ascii_lowercase().as_str() {
            "text/csv" => Some(Self::Csv),
            "application/json" => Some(Self::Json),
            "application/jsonlines" | "application/x-jsonlines" | "application/jsonl" => {
                Some(Self::JsonLines)
            }
            _ => None,
        }
    }

    /// Its content type.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv",
            Self::Json => "application/json",
            Self::JsonLines => "application/jsonlines",
        }
    }
}

/// The inputs of the samples in a body, and how many there are.
///
/// # Errors
/// It is not as the model's data were; in words.
pub(super) fn inputs(
    about: &About,
    format: BodyFormat,
    body: Vec<u8>,
) -> Result<(Inputs, usize), String> {
    let inputs = match (format, &about.schema) {
        (BodyFormat::Csv, Some(schema)) => table(schema, body),
        (BodyFormat::Csv, None) => numbers(&body).map(Inputs::from),
        (BodyFormat::Json, _) => {
            let body: Value =
                serde_json::from_slice(&body).map_err(|error| format!("not JSON: {error}"))?;
            let samples = samples(&body)?;
            documents(about, samples.iter().map(|sample| Ok((*sample).clone())))
        }
        (BodyFormat::JsonLines, _) => {
            let text = std::str::from_utf8(&body).map_err(|_| "not UTF-8 text".to_owned())?;
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            documents(
                about,
                lines.map(|(at, line)| {
                    serde_json::from_str(line)
                        .map_err(|error| format!("line {}: not JSON: {error}", at + 1))
                }),
            )
        }
    }?;
    match about.width.samples(&inputs).filter(|samples| *samples > 0) {
        Some(samples) => Ok((inputs, samples)),
        None => Err(format!(
            "{} values, expected {} for each sample, and at least one sample",
            inputs.features.len() + inputs.ids.len(),
            about.width.features + about.width.ids
        )),
    }
}

fn table(schema: &Arc<Schema>, body: Vec<u8>) -> Result<Inputs, String> {
    let (name, mut inputs) = (Path::new("the request"), Inputs::default());
    let reader = SchemaReader::of_reader(name, Cursor::new(body), schema.clone(), false);
    let mut reader = reader.map_err(|error| error.to_string())?;
    while reader.next_sample(&mut inputs).map_err(|error| error.to_string())? {}
    Ok(inputs)
}

/// Lines of numbers, for a model that was not trained on a table.
fn numbers(body: &[u8]) -> Result<Vec<f32>, String> {
    let text = std::str::from_utf8(body).map_err(|_| "not UTF-8 text".to_owned())?;
    let mut inputs = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        for value in line.split(',') {
            let number = value.trim().parse::<f32>().ok().filter(|number| number.is_finite());
            inputs.push(
                number
                    .ok_or_else(|| format!("line {}: `{value}` is not a finite number", at + 1))?,
            );
        }
    }
    Ok(inputs)
}

/// The samples of a document: `{"instances": [..]}`, a list of samples, or one sample.
fn samples(body: &Value) -> Result<Vec<&Value>, String> {
    let list = match body {
        Value::Object(fields) => match fields.get("instances") {
            Some(instances) => instances,
            None => return Ok(vec![body]),
        },
        other => other,
    };
    match list {
        Value::Array(all) if all.iter().all(|it| !it.is_array() && !it.is_object()) => {
            Ok(vec![list])
        }
        Value::Array(all) => Ok(all.iter().collect()),
        _ => Err("expected a sample, a list of samples, or {\"instances\": [..]}".to_owned()),
    }
}

fn documents(
    about: &About,
    samples: impl Iterator<Item = Result<Value, String>>,
) -> Result<Inputs, String> {
    let mut encoder = about.schema.as_ref().map(SampleEncoder::new);
    let mut inputs = Inputs::default();
    for (at, sample) in samples.enumerate() {
        let sample = sample?;
        // As SageMaker's own algorithms have it.
        let sample = sample.get("features").unwrap_or(&sample);
        let encoded = match (&mut encoder, &about.schema) {
            (Some(encoder), Some(schema)) => texts(schema, sample).and_then(|texts| {
                encoder.encode(&texts, &mut inputs).map_err(|error| error.to_string())
            }),
            _ => flat(sample, &mut inputs.features),
        };
        encoded.map_err(|problem| format!("sample {}: {problem}", at + 1))?;
    }
    Ok(inputs)
}

/// The values of a sample in the order of the table's columns.
fn texts(schema: &Schema, sample: &Value) -> Result<Vec<String>, String> {
    let labels: Vec<usize> = schema.labels().map(|(at, _)| at).collect();
    let count = schema.columns.len();
    match sample {
        Value::Object(fields) => {
            let name = |at: usize| schema.column_name(at);
            let known = (0..count).map(name).collect::<Vec<_>>();
            if let Some(unknown) = fields.keys().find(|key| !known.contains(key)) {
                return Err(format!(
                    "`{unknown}` is no column; the training files have {}",
                    known.join(", ")
                ));
            }
            let needed = |at: &usize| schema.columns[*at].is_input();
            if let Some(missing) =
                (0..count).filter(needed).find(|at| !fields.contains_key(&known[*at]))
            {
                return Err(format!("no `{}`; null says that it is not known", known[missing]));
            }
            known.iter().map(|name| text(fields.get(name).unwrap_or(&Value::Null))).collect()
        }
        Value::Array(values) => {
            let mut texts = values.iter().map(text).collect::<Result<Vec<String>, String>>()?;
            if texts.len() + labels.len() == count {
                labels.iter().for_each(|label| texts.insert(*label, String::new()));
            }
            match texts.len() == count {
                true => Ok(texts),
                false => Err(format!(
                    "{} values, expected {count}, or {} without labels",
                    values.len(),
                    count - labels.len()
                )),
            }
        }
        _ => Err("expected an object of columns, or a list of values".to_owned()),
    }
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        _ => Err(format!("{value}: expected a number, a text or null")),
    }
}

/// Numbers, in lists inside each other or not.
fn flat(sample: &Value, inputs: &mut Vec<f32>) -> Result<(), String> {
    match sample {
        Value::Array(values) => values.iter().try_for_each(|value| flat(value, inputs)),
        Value::Number(number) => {
            inputs.push(number.as_f64().unwrap_or(f64::NAN) as f32);
            Ok(())
        }
        other => Err(format!("{other}: expected numbers")),
    }
}
