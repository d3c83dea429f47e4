//! What one CSV column holds, learnt from the training set and applied to both sets.

use std::path::{Path, PathBuf};

use super::categories::Categories;
use crate::limits::CATEGORIES_MAX;

/// A value that cannot be used, without its place.
pub(super) type Problem = String;

/// A file and a line in it.
pub(super) type FileLine = (PathBuf, u64);

/// How the values of an input column become inputs of a model.
#[derive(Debug, PartialEq)]
pub(super) enum ColumnEncoding {
    /// One input: the distance from the mean of the training set, in standard deviations.
    Standardised { mean: f64, deviation: f64 },
    /// One input for each text: 1 where it is the value. A text that training never saw is all 0.
    OneHot(Categories),
}

impl ColumnEncoding {
    /// Inputs made from one value.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Standardised { .. } => 1,
            Self::OneHot(texts) => texts.len(),
        }
    }

    /// Appends the inputs for this value.
    pub(super) fn encode(&self, value: &str, inputs: &mut Vec<f32>) -> Result<(), Problem> {
        match self {
            Self::Standardised { mean, deviation } => {
                let number = number(value).ok_or_else(|| {
                    format!(
                        "`{value}` is not a finite number, as this column was throughout the \
                         training set; correct or remove the line"
                    )
                })?;
                inputs.push(((number - mean) / deviation) as f32);
            }
            Self::OneHot(texts) => {
                let start = inputs.len();
                inputs.resize(start + texts.len(), 0.0);
                if let Some(position) = texts.position(value) {
                    inputs[start + position] = 1.0;
                }
            }
        }
        Ok(())
    }
}

/// Reads a number that is finite as an input, too.
pub(super) fn number(value: &str) -> Option<f64> {
    value.parse::<f64>().ok().filter(|number| (*number as f32).is_finite())
}

/// What is known of a column while the training set is read.
#[derive(Debug, Default)]
pub(super) struct ColumnStatistics {
    values: u64,
    mean: f64,
    /// Sum of the squared distances from the mean (Welford's method, exact for large means).
    squares: f64,
    not_a_number: Option<(FileLine, String)>,
    texts: Categories,
}

impl ColumnStatistics {
    /// Takes in one more value.
    pub(super) fn add(&mut self, path: &Path, line: u64, value: &str) {
        match number(value) {
            Some(number) => {
                self.values += 1;
                let distance = number - self.mean;
                self.mean += distance / self.values as f64;
                self.squares += distance * (number - self.mean);
            }
            None if self.not_a_number.is_none() => {
                self.not_a_number = Some(((path.to_owned(), line), value.to_owned()));
            }
            None => {}
        }
        // One text too many is enough to know that there are too many.
        if self.texts.len() <= CATEGORIES_MAX {
            self.texts.add(value);
        }
    }

    /// How the column is to be encoded.
    ///
    /// # Errors
    /// The place and the problem, if it holds neither numbers alone nor a few texts.
    pub(super) fn encoding(self) -> Result<ColumnEncoding, (FileLine, Problem)> {
        let Some((place, value)) = self.not_a_number else {
            let deviation = (self.squares / self.values.max(1) as f64).sqrt();
            // A constant column carries nothing: it becomes 0 everywhere.
            let deviation = if deviation > 0.0 { deviation } else { 1.0 };
            return Ok(ColumnEncoding::Standardised { mean: self.mean, deviation });
        };
        if self.texts.len() > CATEGORIES_MAX {
            return Err((
                place,
                format!(
                    "`{value}` is not a finite number, and the column has more than \
                     {CATEGORIES_MAX} distinct values, too many to be categories; correct the \
                     value or remove the column"
                ),
            ));
        }
        Ok(ColumnEncoding::OneHot(self.texts.sorted()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(values: &[&str]) -> Result<ColumnEncoding, (FileLine, Problem)> {
        let mut statistics = ColumnStatistics::default();
        for (line, value) in values.iter().enumerate() {
            statistics.add(Path::new("train.csv"), line as u64 + 1, value);
        }
        statistics.encoding()
    }

    fn encode(encoding: &ColumnEncoding, value: &str) -> Vec<f32> {
        let mut inputs = Vec::new();
        encoding.encode(value, &mut inputs).unwrap();
        inputs
    }

    #[test]
    fn numbers_are_standardised() {
        let encoding = learn(&["1", "3", "1e0", "3.0"]).unwrap();
        assert_eq!(encoding, ColumnEncoding::Standardised { mean: 2.0, deviation: 1.0 });
        assert_eq!(encode(&encoding, "4.5"), [2.5]);
        assert!(encoding.encode("x", &mut Vec::new()).unwrap_err().contains("`x`"));
    }

    #[test]
    fn a_constant_column_becomes_zero() {
        assert_eq!(encode(&learn(&["5", "5"]).unwrap(), "5"), [0.0]);
    }

    #[test]
    fn texts_become_one_input_each_and_unknown_ones_none() {
        let encoding = learn(&["red", "blue", "red", "7"]).unwrap();
        assert_eq!(encoding.width(), 3);
        assert_eq!(encode(&encoding, "red"), [0.0, 0.0, 1.0]);
        assert_eq!(encode(&encoding, "green"), [0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_stray_text_among_many_numbers_is_named() {
        let mut values: Vec<String> = (0..400).map(|number| number.to_string()).collect();
        values[99] = "n/a".to_owned();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let ((_, line), problem) = learn(&values).unwrap_err();
        assert_eq!(line, 100);
        assert!(problem.contains("`n/a`"), "{problem}");
    }
}
