//! The body of a request becomes samples.

use super::batcher::About;
use super::documents;
use ps_core::schema::Schema;
use ps_data::{Inputs, SchemaReader};
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
        (BodyFormat::Json, _) => documents::document(about, &body),
        (BodyFormat::JsonLines, _) => documents::lines(about, &body),
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
