//! The distinct texts of a column, counted as far as they are few.

use std::collections::BTreeMap;

/// Distinct texts with how often each occurs; beyond a bound only that there are more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distinct {
    counts: BTreeMap<String, u64>,
    /// There are more than are counted.
    more: bool,
}

impl Distinct {
    /// Counts a text; one that is new is only noted where there are `bound` already.
    pub fn add(&mut self, text: &str, bound: usize) {
        self.add_times(text, 1, bound);
    }

    fn add_times(&mut self, text: &str, times: u64, bound: usize) {
        // Looked up first: nearly every value has been seen, and a lookup allocates nothing.
        if let Some(count) = self.counts.get_mut(text) {
            *count += times;
        } else if self.counts.len() < bound {
            self.counts.insert(text.to_owned(), times);
        } else {
            self.more = true;
        }
    }

    /// Takes in what another part of the data has.
    pub fn merge(&mut self, other: &Self, bound: usize) {
        for (text, times) in &other.counts {
            self.add_times(text, *times, bound);
        }
        self.more |= other.more;
    }

    /// How many there are; more than the bound: `None`.
    pub fn len(&self) -> Option<usize> {
        (!self.more).then_some(self.counts.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Whether this text is one of those that are counted.
    pub fn contains(&self, text: &str) -> bool {
        self.counts.contains_key(text)
    }

    /// Those that are counted, in the order of the texts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(text, count)| (text.as_str(), *count))
    }

    /// The first few, for people.
    pub fn examples(&self) -> String {
        super::names::named_few(self.counts.keys().map(String::as_str), self.more)
    }
}
