//! A schema as a file.

use super::column_use::{Column, ColumnUse};
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
        match schema.problem() {
            Some(problem) => Err(format!("{problem}; is it a schema that psrun wrote?")),
            None => Ok(schema),
        }
    }

    /// What no table can have taught.
    fn problem(&self) -> Option<String> {
        let is_mark = |mark: char| {
            mark.is_ascii() && !mark.is_ascii_alphanumeric() && !"\"\r\n".contains(mark)
        };
        if !is_mark(self.delimiter) || !".,".contains(self.decimal) {
            return Some("a delimiter or a decimal mark that is none".to_owned());
        }
        let kinds: Vec<_> =
            self.labels().map(|(_, column)| std::mem::discriminant(&column.usage)).collect();
        let has_classes =
            self.labels().any(|(_, column)| matches!(column.usage, ColumnUse::Class { .. }));
        if kinds.is_empty() || kinds.iter().any(|kind| *kind != kinds[0]) {
            return Some("no label, or labels of several kinds".to_owned());
        }
        if has_classes && kinds.len() > 1 {
            return Some("several labels that are classes".to_owned());
        }
        let wrong = |(at, column): (usize, &Column)| {
            let problem = column.usage.problem()?;
            Some(format!("column `{}`: {problem}", self.column_name(at)))
        };
        self.columns.iter().enumerate().find_map(wrong)
    }

    /// What tells this schema from others that make something else of the same lines. How many samples there were does not
    /// count.
    pub fn digest(&self) -> u64 {
        let column = |column: &Column| Column { missing: column.missing.min(1), ..column.clone() };
        let columns = self.columns.iter().map(column).collect();
        let plain = Self { samples: 0, columns, ..self.clone() };
        // Without numbers that are not finite, which no column has, everything can be written.
        fnv_1a(&serde_json::to_string(&plain).unwrap_or_default())
    }

    /// The text of the file.
    ///
    /// # Errors
    /// None in practice: texts and finite numbers can be written as JSON.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &str = r#"{"name":"x","use":"numeric","mean":1.5,"deviation":2.0},
        {"name":"shop","use":"embedded","categories":["a","b"]},{"name":"y","use":"class","classes":["no","yes"]}"#;

    fn schema(delimiter: &str, columns: &str) -> Result<Schema, String> {
        let text = format!(
            r#"{{"version":1,"header":true,"delimiter":{delimiter},"decimal":".","missing":[],"samples":9,"columns":[{columns}]}}"#
        );
        Schema::from_json(text.as_bytes())
    }

    #[test]
    fn a_schema_survives_its_file() {
        let one = schema("\",\"", COLUMNS).unwrap();
        assert_eq!(Schema::from_json(one.to_json().unwrap().as_bytes()), Ok(one));
    }

    #[test]
    fn what_no_table_can_have_taught_is_refused_by_column() {
        for (found, with, expected) in [
            ("\"deviation\":2.0", "\"deviation\":0.0", "column `x`: mean 1.5 and deviation 0"),
            ("\"mean\":1.5", "\"mean\":1e308", "no scale"),
            ("[\"a\",\"b\"]", "[\"a\",\"a\"]", "column `shop`: one category or class twice"),
            ("\"embedded\",\"categories\":[\"a\",\"b\"]", "\"hashed\",\"rows\":0", "no rows"),
            ("\"class\",\"classes\":[\"no\",\"yes\"]", "\"ignored\"", "no label"),
            ("\"numeric\",\"mean\":1.5,\"deviation\":2.0", "\"flag\"", "several kinds"),
        ] {
            let columns = COLUMNS.replace(found, with);
            assert_ne!(columns, COLUMNS, "{found}");
            let problem = schema("\",\"", &columns).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
        assert!(schema("\"a\"", COLUMNS).unwrap_err().contains("delimiter"));
    }
}
