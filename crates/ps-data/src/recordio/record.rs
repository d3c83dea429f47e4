//! A sample from a record: its inputs, shape and label.

use prost::Message;
use ps_core::TaskChoice;

use super::record_message::{Entry, Record, Tensor, count_fields};
use crate::limits::{ENTRIES_MAX, INPUTS_MAX, SIZES_MAX};
use crate::{Label, number_label};

/// What is wrong with a record, without its place.
type Problem = String;

/// The entry that AWS's encoder writes features and labels to.
const ENTRY: &str = "values";

/// Appends the record's inputs and gives their shape and the label.
pub(super) fn decode(
    bytes: &[u8],
    task: TaskChoice,
    inputs: &mut Vec<f32>,
) -> Result<(Vec<usize>, Label), Problem> {
    let unreadable = |error| format!("not a protobuf record with features and a label: {error}");
    let fields = count_fields(bytes).map_err(unreadable)?;
    if fields > ENTRIES_MAX {
        return Err(format!(
            "{fields} fields, expected at most {ENTRIES_MAX}: one map entry of features and one of \
             labels"
        ));
    }
    let record = Record::decode(bytes).map_err(unreadable)?;
    let label = label(record.label, task)?;
    let shape = features(record.features, inputs)?;
    Ok((shape, label))
}

/// The one tensor of a map.
fn only(mut entries: Vec<Entry>, what: &str) -> Result<Tensor, Problem> {
    if entries.len() > 1 {
        let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).take(5).collect();
        return Err(format!(
            "{} entries of {what} ({}), expected one, named `{ENTRY}`",
            entries.len(),
            keys.join(", ")
        ));
    }
    let missing = || format!("no {what}, expected a tensor in the entry `{ENTRY}`");
    let value = entries.pop().and_then(|entry| entry.value).ok_or_else(missing)?;
    value.tensor.ok_or_else(missing)
}

/// The label, as the task has it.
fn label(entries: Vec<Entry>, task: TaskChoice) -> Result<Label, Problem> {
    let numbers: Vec<f64> = match only(entries, "label")? {
        Tensor::Float32(tensor) => tensor.values.iter().map(|&value| f64::from(value)).collect(),
        Tensor::Float64(tensor) => tensor.values,
        Tensor::Int32(tensor) => tensor.values.iter().map(|&value| f64::from(value)).collect(),
        Tensor::Bytes(_) => return Err("a label of bytes, expected one number".to_owned()),
    };
    number_label::label(task, &numbers)
}

/// Appends the features.
fn features(entries: Vec<Entry>, inputs: &mut Vec<f32>) -> Result<Vec<usize>, Problem> {
    let (values, keys, shape): (Vec<f32>, _, _) = match only(entries, "features")? {
        Tensor::Float32(tensor) => (tensor.values, tensor.keys, tensor.shape),
        Tensor::Float64(tensor) => {
            let values = tensor.values.iter().map(|&value| value as f32).collect();
            (values, tensor.keys, tensor.shape)
        }
        Tensor::Int32(tensor) => {
            let values = tensor.values.iter().map(|&value| value as f32).collect();
            (values, tensor.keys, tensor.shape)
        }
        Tensor::Bytes(_) => {
            return Err(
                "features of bytes (an encoded image?), which are not supported; expected \
                        numbers in a float32, float64 or int32 tensor"
                    .to_owned(),
            );
        }
    };
    if let Some(value) = values.iter().find(|value| !value.is_finite()) {
        return Err(format!("a feature of {value} as a 32-bit number, expected a finite one"));
    }
    let (shape, size) = checked_shape(&shape, if keys.is_empty() { values.len() } else { 0 })?;
    // A sparse sample of zeros alone has neither keys nor values, only its shape.
    if keys.is_empty() && !values.is_empty() {
        if values.len() != size {
            return Err(format!(
                "{} features, expected {size} for the shape {shape:?}",
                values.len()
            ));
        }
        inputs.extend_from_slice(&values);
        return Ok(shape);
    }
    scatter(&values, &keys, size, inputs)?;
    Ok(shape)
}

/// The shape as it is claimed, or one row of `dense` values where nothing is said; and its product.
fn checked_shape(claimed: &[u64], dense: usize) -> Result<(Vec<usize>, usize), Problem> {
    if claimed.is_empty() && dense == 0 {
        return Err(
            "no features, or sparse ones without a shape; expected at least one value, and \
                    a shape where there are keys"
                .to_owned(),
        );
    }
    if claimed.len() > SIZES_MAX {
        return Err(format!("a shape of {} sizes, the limit is {SIZES_MAX}", claimed.len()));
    }
    let shape: Option<Vec<usize>> = match claimed {
        [] => Some(vec![dense]),
        claimed => claimed.iter().map(|&size| usize::try_from(size).ok()).collect(),
    };
    let product = shape.as_ref().and_then(|shape| {
        shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))
    });
    match (shape, product) {
        (Some(shape), Some(size)) if (1..=INPUTS_MAX).contains(&size) => Ok((shape, size)),
        _ => Err(format!("features of the shape {claimed:?}, expected 1 to {INPUTS_MAX} in all")),
    }
}

/// Appends `size` inputs, zero but for those that the keys name.
fn scatter(
    values: &[f32],
    keys: &[u64],
    size: usize,
    inputs: &mut Vec<f32>,
) -> Result<(), Problem> {
    if values.len() != keys.len() {
        return Err(format!(
            "{} sparse values with {} keys, expected a key for each",
            values.len(),
            keys.len()
        ));
    }
    if let Some(key) = keys.iter().find(|&&key| key >= size as u64) {
        return Err(format!("key {key} of a sparse feature, expected one below {size}"));
    }
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("key {} occurs twice, expected each once", pair[0]));
    }
    let start = inputs.len();
    inputs.resize(start + size, 0.0);
    for (&key, &value) in keys.iter().zip(values) {
        inputs[start + key as usize] = value;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
