//! What came out becomes the body of a reply.

use super::request::BodyFormat;
use crate::prediction::PredictionFormat;
use serde_json::{Value, json};

/// The reply to a request, of what the model says of its samples, sample after sample.
pub(super) fn body(
    format: BodyFormat,
    says: &PredictionFormat,
    predictions: &[f32],
) -> Result<Vec<u8>, String> {
    let rows = predictions.chunks_exact(says.outputs().max(1));
    let object = |row| Value::Object(says.fields(row));
    match format {
        BodyFormat::Csv => {
            let mut csv = csv::Writer::from_writer(Vec::new());
            for row in rows {
                csv.write_record(says.values(row)).map_err(|error| error.to_string())?;
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
