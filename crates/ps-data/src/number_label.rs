//! Numbers as labels, where no schema says what they mean.

use ps_core::TaskChoice;

use crate::Label;
use crate::limits::CLASSES_MAX;

/// The label that these numbers of a sample are.
///
/// # Errors
/// They are not what the task asks for, in words.
pub(crate) fn label(task: TaskChoice, numbers: &[f64]) -> Result<Label, String> {
    match (task, numbers) {
        (TaskChoice::Regression, [number]) => finite(*number).map(Label::Number),
        (TaskChoice::Regression, [_, _, ..]) => numbers
            .iter()
            .map(|number| finite(*number))
            .collect::<Result<_, _>>()
            .map(Label::Numbers),
        (TaskChoice::MultiLabel, [_, ..]) => {
            numbers.iter().map(|number| flag(*number)).collect::<Result<_, _>>().map(Label::Numbers)
        }
        (TaskChoice::Auto | TaskChoice::Classification | TaskChoice::Binary, [number]) => {
            class(*number).map(Label::Class)
        }
        (_, numbers) => Err(format!(
            "a label of {} values, expected one number; several are told with --task regression or multi-label",
            numbers.len()
        )),
    }
}

fn finite(number: f64) -> Result<f32, String> {
    let value = number as f32;
    match value.is_finite() {
        true => Ok(value),
        false => Err(format!("label {number}, expected a finite number")),
    }
}

fn flag(number: f64) -> Result<f32, String> {
    match number {
        0.0 | 1.0 => Ok(number as f32),
        _ => Err(format!("label {number}, expected 0 or 1, as --task multi-label has it")),
    }
}

/// The class that a label is, if it is a small whole number.
fn class(label: f64) -> Result<u32, String> {
    if label >= 0.0 && label.fract() == 0.0 && label < CLASSES_MAX as f64 {
        return Ok(label as u32);
    }
    Err(format!(
        "label {label}, expected a class, a whole number from 0 to {}; a measured number is told with --task regression",
        CLASSES_MAX - 1
    ))
}
