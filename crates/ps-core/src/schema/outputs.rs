//! What a model's outputs are called and stand for, whether a table says it or not.

use super::scale::Scale;
use super::table::Schema;

/// Names of so many outputs: as in the table, or else their numbers.
pub fn output_names(schema: Option<&Schema>, outputs: usize) -> Vec<String> {
    let known = schema.map(Schema::output_names).unwrap_or_default();
    let name = |at: usize| known.get(at).cloned().unwrap_or_else(|| at.to_string());
    (0..outputs).map(name).collect()
}

/// What so many outputs that are numbers stand for: as the table says, or else themselves.
pub fn label_scales(schema: Option<&Schema>, outputs: usize) -> Vec<Scale> {
    let known = schema.map(Schema::label_scales).filter(|scales| scales.len() == outputs);
    known.unwrap_or_else(|| vec![Scale::default(); outputs])
}
