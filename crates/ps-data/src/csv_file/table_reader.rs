//! Lines of a table that is known, one after another, as a stream has them.

use std::path::Path;
use std::sync::Arc;

use ps_core::schema::Schema;

use super::rows::Rows;
use super::schema_reader::SchemaReader;
use crate::byte_stream::ByteStream;
use crate::sample_reader::{Next, SampleReader};
use crate::{Error, Inputs, Wrapper};

/// Reads one file or stream of a table as its schema says.
pub(crate) struct TableReader {
    reader: SchemaReader,
    /// Number of inputs, as a shape.
    shape: [usize; 1],
    /// Number of the present sample, from 1.
    record: u64,
}

impl TableReader {
    /// Reads these lines; errors name the path.
    pub(crate) fn new(
        path: &Path,
        text: ByteStream,
        schema: &Arc<Schema>,
        wrapper: Wrapper,
    ) -> Self {
        let rows = Rows::new(path, text, schema.delimiter as u8);
        let reader = SchemaReader::of_rows(path, rows, schema.clone(), true, wrapper);
        Self { reader, shape: [schema.width()], record: 0 }
    }
}

impl SampleReader for TableReader {
    fn next(&mut self, wanted: bool, inputs: &mut Inputs) -> Result<Next, Error> {
        let is_there = match wanted {
            true => self.reader.next_sample(inputs)?,
            false => self.reader.skip_sample()?,
        };
        if !is_there {
            self.reader.tell_unknown(self.record);
            return Ok(Next::End);
        }
        self.record += 1;
        if !wanted {
            return Ok(Next::Skipped);
        }
        match self.reader.label()? {
            Some(label) => Ok(Next::Sample(label)),
            None => Err(self.reader.unknown_class()),
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn position(&self) -> (&Path, u64) {
        (self.reader.path(), self.record)
    }
}
