//! Labels of test samples that no training sample has.

use std::collections::HashMap;

use ps_core::schema::{Schema, class_name};

use super::schema_reader::SchemaReader;
use crate::Error;
use crate::limits::CLASSES_MAX;

/// They become classes behind those of the schema: a model never tells them, and that counts.
pub(super) struct UnseenLabels<'a> {
    schema: &'a Schema,
    classes: HashMap<String, u32>,
    /// In the order in which they came.
    names: Vec<String>,
    samples: usize,
    /// The first, as an error.
    first: Option<Error>,
}

impl<'a> UnseenLabels<'a> {
    /// None so far.
    pub(super) fn new(schema: &'a Schema) -> Self {
        Self { schema, classes: HashMap::new(), names: Vec::new(), samples: 0, first: None }
    }

    /// The class of the reader's present label.
    ///
    /// # Errors
    /// There is no label, or there are more than can be.
    pub(super) fn class(&mut self, reader: &SchemaReader) -> Result<u32, Error> {
        let known = self.schema.classes().len();
        let Some(label) = reader.label_text().filter(|label| !label.is_empty()) else {
            return Err(reader.unknown_class());
        };
        let name = class_name(label, &self.schema.value_rules());
        self.samples += 1;
        self.first.get_or_insert_with(|| reader.unknown_class());
        if let Some(class) = self.classes.get(name.as_ref()) {
            return Ok(*class);
        }
        let class = known + self.names.len();
        let number = u32::try_from(class).ok().filter(|_| class < CLASSES_MAX);
        let number = number.ok_or_else(|| reader.unknown_class())?;
        self.names.push(name.clone().into_owned());
        self.classes.insert(name.into_owned(), number);
        Ok(number)
    }

    /// Their names in the order of their classes, of training samples.
    pub(super) fn into_new_names(self) -> Vec<String> {
        self.names
    }

    /// Their names in the order of their classes, given how many samples there were in all, and whether the training
    /// samples are a stream, of which only the beginning is known.
    ///
    /// # Errors
    /// They are most of the labels: those of another column, or another set.
    pub(super) fn into_names(
        self,
        samples: usize,
        is_streamed: bool,
    ) -> Result<Vec<String>, Error> {
        let unseen = self.samples;
        match self.first {
            Some(error) if unseen * 2 > samples => return Err(error),
            // The class has its output by that, whichever sample has it first.
            Some(_) if is_streamed => tracing::warn!(
                "{unseen} of {samples} test samples have classes that the {} training samples which the columns were learnt \
                 from do not have ({}): they are learnt if they come later in the stream, else they are never told",
                self.schema.samples,
                self.names.join(", ")
            ),
            Some(error) => tracing::warn!(
                "{unseen} of {samples} test samples have a class that no training sample has, which a model cannot tell: {error}"
            ),
            None => (),
        }
        Ok(self.names)
    }
}
