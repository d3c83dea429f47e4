//! The values of one line.

/// The values of one line, without the blanks around them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    text: &'a str,
    ends: &'a [usize],
    /// Bytes between one value and the next.
    gap: usize,
}

impl<'a> Row<'a> {
    /// Values that lie one after another and end at these bytes.
    pub(super) fn new(text: &'a str, ends: &'a [usize]) -> Self {
        Self { text, ends, gap: 0 }
    }

    /// A line as it is written, with one byte between values, which end at these bytes.
    pub(super) fn of_line(text: &'a str, ends: &'a [usize]) -> Self {
        Self { text, ends, gap: 1 }
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
        let (start, end) = self.place(column);
        self.text.get(start..end).unwrap_or_default().trim()
    }

    /// The same as bytes, with the blanks around it.
    #[inline]
    pub(super) fn bytes(&self, column: usize) -> &'a [u8] {
        let (start, end) = self.place(column);
        self.text.as_bytes().get(start..end).unwrap_or_default()
    }

    #[inline]
    fn place(&self, column: usize) -> (usize, usize) {
        let Some(end) = self.ends.get(column) else { return (0, 0) };
        (if column == 0 { 0 } else { self.ends[column - 1] + self.gap }, *end)
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
