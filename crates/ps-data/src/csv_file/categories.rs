//! The distinct texts of a column, each with a number.

use std::collections::BTreeMap;

/// Distinct texts; after [`Categories::sorted`] their numbers follow the order of the texts, so
/// that they do not depend on the order of the samples.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Categories(BTreeMap<String, usize>);

impl Categories {
    /// Adds a text if it is new.
    pub(super) fn add(&mut self, text: &str) {
        // Looked up first: nearly every value has been seen, and a lookup allocates nothing.
        if !self.0.contains_key(text) {
            let number = self.0.len();
            self.0.insert(text.to_owned(), number);
        }
    }

    /// The same texts, numbered in their order.
    pub(super) fn sorted(self) -> Self {
        Self(self.0.into_keys().enumerate().map(|(number, text)| (text, number)).collect())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The number of a text.
    pub(super) fn position(&self, text: &str) -> Option<usize> {
        self.0.get(text).copied()
    }

    /// The texts, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The first few texts, for an error message.
    pub(super) fn sample(&self) -> String {
        const NAMED: usize = 5;
        let named: Vec<String> =
            self.0.keys().take(NAMED).map(|text| format!("`{text}`")).collect();
        let more = if self.len() > NAMED { ", .." } else { "" };
        format!("{}{more}", named.join(", "))
    }
}
