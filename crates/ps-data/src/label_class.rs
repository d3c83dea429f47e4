//! A number as a class.

use crate::limits::CLASSES_MAX;

/// The class that a label is, if it is a small whole number.
pub(crate) fn class_number(label: f64) -> Result<u32, String> {
    if label >= 0.0 && label.fract() == 0.0 && label < CLASSES_MAX as f64 {
        return Ok(label as u32);
    }
    Err(format!(
        "label {label}, expected a whole number from 0 to {}; only classification is supported",
        CLASSES_MAX - 1
    ))
}
