//! What came out becomes the body of a reply.

use super::request::BodyFormat;
use crate::prediction::{fields, values};
use serde_json::{Value, json};

/// The reply to a request, of these probabilities, sample after sample.
pub(super) fn body(
    format: BodyFormat,
    classes: &[String],
    probabilities: &[f32],
) -> Result<Vec<u8>, String> {
    let rows = probabilities.chunks_exact(classes.len().max(1));
    let object = |row| Value::Object(fields(classes, row));
    match format {
        BodyFormat::Csv => {
            let mut csv = csv::Writer::from_writer(Vec::new());
            for row in rows {
                csv.write_record(values(classes, row)).map_err(|error| error.to_string())?;
            }
            csv.into_inner().map_err(|error| error.to_string())
        }
        BodyFormat::JsonLines => {
            Ok(rows.map(|row| format!("{}\n", object(row))).collect::<String>().into_bytes())
        }
        BodyFormat::Json => {
            let predictions: Vec<Value> = rows.map(object).collect();
            Ok(json!({ "predictions": predictions }).to_string().into_bytes())
        }
    }
}
