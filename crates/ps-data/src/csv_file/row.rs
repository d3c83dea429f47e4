//! The values of one line.

/// The values of one line, without the blanks around them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    text: &'a str,
    ends: &'a [usize],
}

impl<'a> Row<'a> {
    /// Values that lie one after another and end at these bytes.
    pub(super) fn new(text: &'a str, ends: &'a [usize]) -> Self {
        Self { text, ends }
    }

    /// These values as a line.
    pub(super) fn with_texts<T>(texts: &[String], take: impl FnOnce(Row<'_>) -> T) -> T {
        let (text, mut end) = (texts.concat(), 0);
        let ends: Vec<usize> = texts.iter().map(|text| (end += text.len(), end).1).collect();
        take(Row::new(&text, &ends))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The value in this column, empty beyond the last.
    pub(super) fn get(&self, column: usize) -> &'a str {
        let start = if column == 0 { Some(&0) } else { self.ends.get(column - 1) };
        let value =
            start.zip(self.ends.get(column)).and_then(|(start, end)| self.text.get(*start..*end));
        value.unwrap_or_default().trim()
    }

    /// All values.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let own = *self;
        (0..self.len()).map(move |column| own.get(column))
    }

    /// The values as texts of their own.
    pub(super) fn to_texts(self) -> Vec<String> {
        self.iter().map(str::to_owned).collect()
    }

    /// Whether these are its values.
    pub(super) fn is(&self, texts: &[String]) -> bool {
        self.len() == texts.len() && self.iter().zip(texts).all(|(value, text)| value == text)
    }
}
