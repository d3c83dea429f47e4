//! JSON becomes samples.

use super::batcher::About;
use super::plain::PlainSamples;
use super::understood::Understood;
use ps_core::schema::Schema;
use ps_data::{Inputs, SampleEncoder};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// What expects samples was given something else.
const EXPECTED: &str = "expected a sample, a list of samples, or {\"instances\": [..]}";

/// The samples of one document.
pub(super) fn document(about: &About, body: &[u8]) -> Result<Understood, String> {
    let body: Value = serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))?;
    let mut documents = Documents::new(about);
    for sample in samples(&body)? {
        documents.add(sample)?;
    }
    Ok(documents.understood())
}

/// Those of the samples of a document a line.
pub(super) fn lines(about: &About, body: &[u8]) -> Result<Understood, String> {
    let text = std::str::from_utf8(body).map_err(|_| "not UTF-8 text".to_owned())?;
    let mut documents = Documents::new(about);
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let sample: Value = serde_json::from_str(line)
            .map_err(|error| format!("line {}: not JSON: {error}", at + 1))?;
        documents.add(&sample)?;
    }
    Ok(documents.understood())
}

/// The samples of a document: `{"instances": [..]}`, a list of samples, or one sample.
fn samples(body: &Value) -> Result<Vec<&Value>, String> {
    let list = match body {
        // A column may be called so, too: then there is one value.
        Value::Object(fields) => match fields.get("instances").filter(|it| it.is_array()) {
            Some(instances) => instances,
            None => return Ok(vec![body]),
        },
        other => other,
    };
    match list {
        Value::Array(all)
            if !all.is_empty() && all.iter().all(|it| !it.is_array() && !it.is_object()) =>
        {
            Ok(vec![list])
        }
        Value::Array(all) => Ok(all.iter().collect()),
        _ => Err(EXPECTED.to_owned()),
    }
}

/// One sample after another.
struct Documents<'a> {
    samples: Samples<'a>,
    count: usize,
}

enum Samples<'a> {
    Table(Box<Table>),
    Plain(PlainSamples<'a>),
}

impl<'a> Documents<'a> {
    fn new(about: &'a About) -> Self {
        let samples = match &about.schema {
            Some(schema) => Samples::Table(Box::new(Table::new(schema))),
            None => Samples::Plain(about.plain()),
        };
        Self { samples, count: 0 }
    }

    fn add(&mut self, sample: &Value) -> Result<(), String> {
        self.count += 1;
        let added = match &mut self.samples {
            Samples::Table(table) => table.add(columns(sample)),
            Samples::Plain(plain) => plain.add_json(sample),
        };
        added.map_err(|problem| format!("sample {}: {problem}", self.count))
    }

    fn understood(self) -> Understood {
        match self.samples {
            Samples::Table(table) => {
                Understood { unseen: table.encoder.unseen_texts(), inputs: table.inputs }
            }
            Samples::Plain(plain) => plain.inputs.into(),
        }
    }
}

/// The columns of a sample, which may be in `features`, as SageMaker's own algorithms have it; a column may be called so, too,
/// and then has one value.
fn columns(sample: &Value) -> &Value {
    let inside = sample.get("features").filter(|it| it.is_array() || it.is_object());
    inside.unwrap_or(sample)
}

/// Samples of a table.
struct Table {
    inputs: Inputs,
    schema: Arc<Schema>,
    encoder: SampleEncoder,
    /// What each column is called.
    names: Vec<String>,
    places: HashMap<String, usize>,
    /// Whether each column is a label.
    labels: Vec<bool>,
}

impl Table {
    fn new(schema: &Arc<Schema>) -> Self {
        let names: Vec<String> =
            (0..schema.columns.len()).map(|at| schema.column_name(at)).collect();
        let places = names.iter().cloned().zip(0..).collect();
        let mut labels = vec![false; names.len()];
        schema.labels().for_each(|(at, _)| labels[at] = true);
        let (schema, encoder) = (schema.clone(), SampleEncoder::new(schema));
        Self { inputs: Inputs::default(), schema, encoder, names, places, labels }
    }

    fn add(&mut self, sample: &Value) -> Result<(), String> {
        match sample {
            Value::Object(fields) => self.by_name(fields)?,
            Value::Array(values) => self.in_order(values)?,
            _ => return Err("expected an object of columns, or a list of values".to_owned()),
        }
        self.encoder.finish(&mut self.inputs).map_err(|error| error.to_string())
    }

    fn by_name(&mut self, fields: &Map<String, Value>) -> Result<(), String> {
        for (name, column) in self.names.iter().zip(&self.schema.columns) {
            match fields.get(name) {
                None if column.is_input() => return Err(self.missing(name, fields)),
                value => push(&mut self.encoder, value.unwrap_or(&Value::Null))?,
            }
        }
        Ok(())
    }

    /// That a column is not there, which may stand there under another name.
    fn missing(&self, name: &str, fields: &Map<String, Value>) -> String {
        let unknown = fields.keys().find(|key| !self.places.contains_key(*key));
        match unknown {
            Some(unknown) => {
                let known = self.names.join(", ");
                format!(
                    "no `{name}`, and `{unknown}` is no column; the training files have {known}"
                )
            }
            None => format!("no `{name}`; null says that it is not known"),
        }
    }

    fn in_order(&mut self, values: &[Value]) -> Result<(), String> {
        let (labels, count) = (self.schema.labels().count(), self.names.len());
        let has_labels = values.len() == count;
        if !has_labels && values.len() + labels != count {
            let found = values.len();
            return Err(format!(
                "{found} values, expected {count}, or {} without labels",
                count - labels
            ));
        }
        let mut values = values.iter();
        for is_label in &self.labels {
            let value = if has_labels || !is_label { values.next() } else { None };
            push(&mut self.encoder, value.unwrap_or(&Value::Null))?;
        }
        Ok(())
    }
}

/// One value of a sample.
fn push(encoder: &mut SampleEncoder, value: &Value) -> Result<(), String> {
    match value {
        Value::Null => encoder.push_text(""),
        Value::String(text) => encoder.push_text(text),
        Value::Number(number) => {
            encoder.push_number(number.as_f64().unwrap_or(f64::NAN), || number.to_string());
        }
        Value::Bool(truth) => encoder.push_text(if *truth { "true" } else { "false" }),
        _ => return Err(format!("{value}: expected a number, a text or null")),
    }
    Ok(())
}
