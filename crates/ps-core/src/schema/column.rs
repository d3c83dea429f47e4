//! What a column holds.

use super::distinct::Distinct;
use super::early::Early;
use super::moments::Moments;
use super::value::Value;
use crate::limits::NAMED_CATEGORIES_MAX;

/// As long as all values are numbers, so many are counted as texts, too, in case most turn out to be texts.
const NUMBERS_AS_TEXTS: u64 = 1_000;

/// What is known of a column: sums that can be merged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnSummary {
    /// Values that are numbers.
    pub numbers: Moments,
    /// Values that are neither numbers nor missing.
    pub texts: u64,
    /// Values that are missing.
    pub missing: u64,
    /// Values that are not missing, as they are written; of numbers, the first ones, and none where there is no text.
    pub distinct: Distinct,
    /// The first numbers, which are among the distinct values from the first text on: most columns never have one.
    early: Early,
    /// Numbers that are not among the distinct values.
    pub uncounted: u64,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ColumnKind {
    /// Numbers.
    Numeric {
        /// Of the training set; a missing value counts as this.
        mean: f64,
        /// Of the training set; 1 for a column that is constant.
        deviation: f64,
    },
    /// Texts, which are those of the summary.
    Categorical,
}

/// Why nobody can say what a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It has numbers nearly everywhere.
    StrayTexts,
    /// It has so many texts that nearly every sample has one of its own.
    ManyTexts,
    /// It has more categories than can be inputs, and the model looks none up.
    ManyCategories,
    /// It began with so many numbers that they were no longer counted as texts.
    LateTexts,
}

impl ColumnSummary {
    /// Nothing yet of one of so many columns, which share what memory there is for their texts.
    pub fn of_columns(count: usize) -> Self {
        Self { distinct: Distinct::sharing(count), ..Self::default() }
    }

    /// Takes in one more value, which is this text.
    pub fn add(&mut self, text: &str, value: Value<'_>) {
        match value {
            Value::Missing => self.missing += 1,
            Value::Number(number) => self.add_number(number, || text),
            Value::Text(text) => self.add_text(text),
        }
    }

    fn add_text(&mut self, text: &str) {
        self.texts += 1;
        self.count_early();
        self.distinct.add(text, NAMED_CATEGORIES_MAX);
    }

    /// What came early is counted.
    fn count_early(&mut self) {
        std::mem::take(&mut self.early)
            .texts()
            .for_each(|text| self.distinct.add(text, NAMED_CATEGORIES_MAX));
    }

    /// Takes in one more value, which is a number; its text is asked for only where texts are counted.
    #[inline]
    pub fn add_number<'a>(&mut self, number: f64, text: impl FnOnce() -> &'a str) {
        self.numbers.add(number);
        if self.texts > 0 {
            self.distinct.add(text(), NAMED_CATEGORIES_MAX);
        } else if self.numbers.count <= NUMBERS_AS_TEXTS {
            self.early.add(text());
            if self.early.memory() > self.distinct.share() {
                self.count_early();
            }
        } else {
            self.uncounted += 1;
        }
    }

    /// Takes in another part of the data.
    pub fn merge(&mut self, other: &Self) {
        self.numbers.merge(&other.numbers);
        self.texts += other.texts;
        self.missing += other.missing;
        self.uncounted += other.uncounted;
        other.early.texts().for_each(|text| self.early.add(text));
        if self.texts > 0 || self.early.memory() > self.distinct.share() {
            self.count_early();
        }
        self.distinct.merge(&other.distinct, NAMED_CATEGORIES_MAX);
    }

    /// The first numbers as texts, which are not among the distinct values yet.
    pub fn early_texts(&self) -> impl Iterator<Item = &str> {
        self.early.texts()
    }

    /// Takes such a text back in, of a part that was sent.
    pub fn add_early(&mut self, text: &str) {
        self.early.add(text);
    }

    /// Whether it has no line at all.
    pub fn is_empty(&self) -> bool {
        self.numbers.count == 0 && self.texts == 0 && self.missing == 0
    }

    /// Whether most of its values are numbers.
    pub fn is_numeric(&self) -> bool {
        self.numbers.count > self.texts
    }

    /// What it holds: what most of its values are. A column without any value is constant.
    ///
    /// # Errors
    /// Nobody can say.
    pub fn kind(&self) -> Result<ColumnKind, Doubt> {
        if self.numbers.count == 0 && self.texts == 0 {
            return Ok(ColumnKind::Numeric { mean: 0.0, deviation: 1.0 });
        }
        if self.is_numeric() {
            let (mean, deviation) = (self.numbers.mean(), self.numbers.deviation());
            return match self.texts {
                0 => Ok(ColumnKind::Numeric { mean, deviation }),
                _ => Err(Doubt::StrayTexts),
            };
        }
        match self.uncounted {
            0 => Ok(ColumnKind::Categorical),
            _ => Err(Doubt::LateTexts),
        }
    }
}
