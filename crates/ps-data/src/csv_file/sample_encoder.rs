//! Samples whose values come one by one, encoded as a schema says.

use std::path::PathBuf;
use std::sync::Arc;

use ps_core::schema::Schema;

use super::encode::Encoder;
use super::errors::column_name;
use super::row::Row;
use crate::{Error, Inputs};

/// Encodes samples that are in no file.
pub struct SampleEncoder {
    schema: Arc<Schema>,
    encoder: Encoder,
}

impl SampleEncoder {
    /// Encodes as this schema says.
    pub fn new(schema: &Arc<Schema>) -> Self {
        Self { schema: schema.clone(), encoder: Encoder::new(schema) }
    }

    /// Appends the inputs of a sample with these values, one for each column of the schema; that of the label means nothing.
    ///
    /// # Errors
    /// A value that cannot be used, or another number of them.
    pub fn encode(&mut self, values: &[String], inputs: &mut Inputs) -> Result<(), Error> {
        let expected = self.schema.columns.len();
        if values.len() != expected {
            let found = values.len();
            return Err(Error::Options(format!("{found} values, expected {expected}")));
        }
        let encoded = Row::with_texts(values, |row| self.encoder.inputs(&row, None, inputs));
        encoded.map_err(|(at, problem)| {
            let column = column_name(at, Some(&self.schema.columns[at].name));
            Error::File { path: PathBuf::from(column), problem }
        })
    }
}
