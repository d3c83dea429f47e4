//! The distinct texts of a column, counted as far as they are few.

use crate::limits::{DISTINCT_BYTES_MAX, TABLE_DISTINCT_BYTES_MAX};
use std::collections::BTreeMap;

/// Distinct texts with how often each occurs; beyond a bound only how often there were others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distinct {
    counts: BTreeMap<String, u64>,
    /// Of all texts that are counted.
    bytes: usize,
    /// How often there was one that is not counted.
    others: u64,
    /// Memory that the texts may need.
    share: usize,
}

/// Memory for a text beside its bytes: its place among the others, and what an allocation costs.
const ENTRY_BYTES: usize = 64;

impl Default for Distinct {
    fn default() -> Self {
        Self::sharing(1)
    }
}

impl Distinct {
    /// Those of one of so many columns.
    pub fn sharing(columns: usize) -> Self {
        let share = TABLE_DISTINCT_BYTES_MAX / columns.max(1);
        Self { counts: BTreeMap::new(), bytes: 0, others: 0, share }
    }

    /// Memory that the texts may need.
    pub(super) fn share(&self) -> usize {
        self.share
    }

    /// Whether there is room for one more, with which all texts have so many bytes.
    fn has_room(&self, bytes: usize) -> bool {
        let memory = bytes.saturating_add(ENTRY_BYTES * (self.counts.len() + 1));
        bytes <= DISTINCT_BYTES_MAX && memory <= self.share
    }

    /// Counts a text; one that is new is one of the others where there are `bound` already, or too long ones.
    pub fn add(&mut self, text: &str, bound: usize) {
        self.add_times(text, 1, bound);
    }

    /// Takes in texts that are not counted.
    pub fn add_others(&mut self, times: u64) {
        self.others += times;
    }

    /// Counts a text so many times.
    pub fn add_times(&mut self, text: &str, times: u64, bound: usize) {
        let bytes = self.bytes.saturating_add(text.len());
        // Looked up first: nearly every value has been seen, and a lookup allocates nothing.
        if let Some(count) = self.counts.get_mut(text) {
            *count += times;
        } else if self.counts.len() < bound && self.has_room(bytes) {
            self.counts.insert(text.to_owned(), times);
            self.bytes = bytes;
        } else {
            self.others += times;
        }
    }

    /// Takes in what another part of the data has.
    pub fn merge(&mut self, other: &Self, bound: usize) {
        for (text, times) in &other.counts {
            self.add_times(text, *times, bound);
        }
        self.others += other.others;
    }

    /// How many there are; more than the bound: `None`.
    pub fn len(&self) -> Option<usize> {
        (self.others == 0).then_some(self.counts.len())
    }

    /// How many there are at least.
    pub fn len_min(&self) -> usize {
        self.counts.len()
    }

    /// How often there was a text that is not counted.
    pub fn others(&self) -> u64 {
        self.others
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
        super::names::named_few(self.counts.keys().map(String::as_str), self.others > 0)
    }
}
