//! The body of a request becomes samples.

use super::batcher::About;
use super::documents;
use super::understood::Understood;
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

/// The samples in a body, and how many there are.
///
/// # Errors
/// It is not as the model's data were; in words.
pub(super) fn understood(
    about: &About,
    format: BodyFormat,
    body: Vec<u8>,
) -> Result<(Understood, usize), String> {
    let understood = match (format, &about.schema) {
        (BodyFormat::Csv, Some(schema)) => table(schema, body),
        (BodyFormat::Csv, None) => numbers(about, &body),
        (BodyFormat::Json, _) => documents::document(about, &body),
        (BodyFormat::JsonLines, _) => documents::lines(about, &body),
    }?;
    match about.width.samples(&understood.inputs) {
        Some(samples) if samples > 0 => Ok((understood, samples)),
        _ => Err("no sample, expected at least one sample".to_owned()),
    }
}

fn table(schema: &Arc<Schema>, body: Vec<u8>) -> Result<Understood, String> {
    let (name, mut inputs) = (Path::new("the request"), Inputs::default());
    let reader = SchemaReader::of_reader(name, Cursor::new(body), schema.clone(), false);
    let mut reader = reader.map_err(|error| error.to_string())?;
    while reader.next_sample(&mut inputs).map_err(|error| error.to_string())? {}
    Ok(Understood { inputs, unseen: reader.unseen_texts() })
}

/// A sample a line, of a model that was not trained on a table.
fn numbers(about: &About, body: &[u8]) -> Result<Understood, String> {
    let text = std::str::from_utf8(body).map_err(|_| "not UTF-8 text".to_owned())?;
    let (mut samples, mut values) = (about.plain(), Vec::new());
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |problem: String| format!("line {}: {problem}", at + 1);
        values.clear();
        for value in line.split(',') {
            let number =
                value.trim().parse().map_err(|_| wrong(format!("`{value}` is no number")))?;
            values.push(number);
        }
        samples.add(&values).map_err(wrong)?;
    }
    Ok(samples.inputs.into())
}
