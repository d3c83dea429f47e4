//! Samples whose values come one by one, encoded as a schema says.

use std::path::PathBuf;
use std::sync::Arc;

use ps_core::schema::{ColumnUse, Schema};

use super::encode::Encoder;
use super::errors::column_name;
use super::row::Row;
use super::unseen_texts::{UnseenTexts, unseen_texts};
use super::values::Cells;
use crate::{Error, Inputs};

/// Encodes samples that are in no file: their values are given one by one, in the order of the schema's columns.
pub struct SampleEncoder {
    schema: Arc<Schema>,
    encoder: Encoder,
    /// The texts of the present sample, one after another, and where each ends.
    texts: String,
    ends: Vec<usize>,
    /// Its values that came as numbers and count as such.
    numbers: Vec<f64>,
}

impl SampleEncoder {
    /// Encodes as this schema says.
    pub fn new(schema: &Arc<Schema>) -> Self {
        let (texts, ends, numbers) = (String::new(), Vec::new(), Vec::new());
        Self { schema: schema.clone(), encoder: Encoder::new(schema), texts, ends, numbers }
    }

    /// Appends the inputs of a sample with these values.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn encode(&mut self, values: &[String], inputs: &mut Inputs) -> Result<(), Error> {
        values.iter().for_each(|value| self.push_text(value));
        self.finish(inputs)
    }

    /// The next value of the present sample, as a table would have it.
    pub fn push_text(&mut self, text: &str) {
        self.texts.push_str(text.trim());
        self.ends.push(self.texts.len());
        self.numbers.push(f64::NAN);
    }

    /// The same of a number; its text is asked for only where the column is not one of numbers, or some numbers stand for what is missing.
    pub fn push_number(&mut self, number: f64, text: impl FnOnce() -> String) {
        let column = self.schema.columns.get(self.ends.len());
        let is_numeric =
            column.is_some_and(|column| matches!(column.usage, ColumnUse::Numeric { .. }));
        if is_numeric && self.schema.missing.is_empty() && (number as f32).is_finite() {
            self.ends.push(self.texts.len());
            self.numbers.push(number);
        } else if is_numeric {
            // A number is one, whatever the training files have before its fraction.
            self.push_text(&text().replace('.', self.schema.decimal.encode_utf8(&mut [0; 4])));
        } else {
            self.push_text(&text());
        }
    }

    /// Appends the inputs of the present sample, which has a value for each column of the schema, that of the label, which means
    /// nothing, too; the next one begins.
    ///
    /// # Errors
    /// A value that cannot be used, or another number of them.
    pub fn finish(&mut self, inputs: &mut Inputs) -> Result<(), Error> {
        let (expected, found) = (self.schema.columns.len(), self.ends.len());
        let encoded = if found == expected {
            let row = Row::new(&self.texts, &self.ends);
            let encoded = self.encoder.inputs(&Cells { row, numbers: &self.numbers }, None, inputs);
            encoded.map_err(|(at, problem)| {
                let column = column_name(at, Some(&self.schema.columns[at].name));
                Error::File { path: PathBuf::from(column), problem }
            })
        } else {
            Err(Error::Options(format!("{found} values, expected {expected}")))
        };
        self.texts.clear();
        self.ends.clear();
        self.numbers.clear();
        encoded
    }

    /// Texts that training has not seen, of the samples so far.
    pub fn unseen_texts(&self) -> Vec<UnseenTexts> {
        unseen_texts(&self.schema, &self.encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ps_core::schema::{Column, SCHEMA_VERSION};

    fn schema(decimal: char, missing: &[&str]) -> Arc<Schema> {
        let column = |usage, missing| Column {
            name: String::new(),
            usage,
            missing,
            texts_are_missing: false,
        };
        Arc::new(Schema {
            version: SCHEMA_VERSION,
            header: false,
            delimiter: ';',
            decimal,
            missing: missing.iter().map(|it| (*it).to_owned()).collect(),
            samples: 3,
            columns: vec![
                column(ColumnUse::Numeric { mean: 1.0, deviation: 2.0 }, 1),
                column(ColumnUse::Categorical { categories: vec!["1".into(), "1.5".into()] }, 0),
            ],
        })
    }

    fn encoded(schema: &Arc<Schema>, number: f64, category: f64) -> Vec<f32> {
        let (mut encoder, mut inputs) = (SampleEncoder::new(schema), Inputs::default());
        encoder.push_number(number, || number.to_string());
        encoder.push_number(category, || category.to_string());
        encoder.finish(&mut inputs).unwrap();
        inputs.features
    }

    #[test]
    fn regression_a_number_is_one_whatever_the_files_have_before_its_fraction() {
        for missing in [&[][..], &["-999"]] {
            for decimal in ['.', ','] {
                let schema = schema(decimal, missing);
                assert_eq!(encoded(&schema, 2.5, 1.5), [0.75, 0.0, 0.0, 1.0], "{decimal}");
            }
        }
    }

    #[test]
    fn numbers_that_stand_for_nothing_are_missing() {
        assert_eq!(encoded(&schema('.', &["-999"]), -999.0, 1.0), [0.0, 1.0, 1.0, 0.0]);
        assert_eq!(encoded(&schema('.', &[]), -999.0, 1.0), [-500.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn a_sample_that_fails_leaves_nothing_to_the_next() {
        let (schema, mut inputs) = (schema('.', &[]), Inputs::default());
        let mut encoder = SampleEncoder::new(&schema);
        encoder.push_text("7");
        assert!(
            encoder.finish(&mut inputs).unwrap_err().to_string().contains("1 values, expected 2")
        );
        encoder.push_number(1e300, || "1e300".to_owned());
        encoder.push_text("1");
        assert!(encoder.finish(&mut inputs).unwrap_err().to_string().contains("`1e300`"));
        encoder.push_text(" 3 ");
        encoder.push_text("1.5");
        encoder.finish(&mut inputs).unwrap();
        assert_eq!(inputs.features[inputs.features.len() - 4..], [1.0, 0.0, 0.0, 1.0]);
    }
}
