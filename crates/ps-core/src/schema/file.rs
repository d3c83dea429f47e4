//! A schema as a file.

use super::embedding::fnv_1a;
use super::table::{SCHEMA_VERSION, Schema};

impl Schema {
    /// The schema that a file has.
    ///
    /// # Errors
    /// It is none, or of another version; in words, without the file's name.
    pub fn from_json(text: &[u8]) -> Result<Self, String> {
        let schema: Self =
            serde_json::from_slice(text).map_err(|error| format!("not as expected: {error}"))?;
        if schema.version != SCHEMA_VERSION {
            let found = schema.version;
            return Err(format!(
                "version {found}, expected {SCHEMA_VERSION}; use the psrun that wrote it"
            ));
        }
        let is_written_by_us = schema.labels().next().is_some()
            && schema.delimiter.is_ascii()
            && schema.decimal.is_ascii();
        match is_written_by_us {
            true => Ok(schema),
            false => Err("no label, or a delimiter that is none; is it a schema that psrun wrote?"
                .to_owned()),
        }
    }

    /// What tells this schema from others that make other inputs of the same lines; the classes do not count, of which who
    /// tests may know more.
    pub fn digest(&self) -> u64 {
        let inputs = self.columns.iter().filter(|column| column.is_input());
        // Without numbers that are not finite, which no column has, everything can be written.
        let texts = inputs.map(|column| serde_json::to_string(column).unwrap_or_default());
        fnv_1a(&texts.collect::<Vec<String>>().join("\n"))
    }

    /// The text of the file.
    ///
    /// # Errors
    /// None in practice: texts and finite numbers can be written as JSON.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}
