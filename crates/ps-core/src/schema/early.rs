//! Texts that wait to be counted.

/// Texts one after another, which is much less work than to count them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Early {
    texts: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Early {
    pub(super) fn add(&mut self, text: &str) {
        self.texts.push_str(text);
        self.ends.push(self.texts.len());
    }

    /// Bytes that it needs.
    pub(super) fn memory(&self) -> usize {
        self.texts.len() + size_of_val(&self.ends[..])
    }

    /// All of them, in order.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.texts[start..*end])
    }
}
