//! Which columns of texts a model looks up, instead of having an input for each text.

use super::column::{ColumnSummary, Doubt};
use super::column_use::ColumnUse;
use crate::cut::cut;
use crate::limits::{CATEGORIES_MAX, HASHED_ROWS, ID_COLUMN_NAME_BYTES_MAX};
use serde::{Deserialize, Serialize};

/// The number that stands for whatever training did not see, or what is missing.
pub const UNKNOWN_ID: u32 = 0;

/// Values for each distinct text, on average, below which a column is taken for names or free text.
const VALUES_PER_CATEGORY_MIN: u64 = 2;

/// Which columns of texts a model looks up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmbeddingRule {
    /// None: the model cannot.
    #[default]
    Never,
    /// Those with more categories than can be an input each.
    Large,
    /// All of them.
    All,
}

/// A column whose values a model looks up: each is the number of a row of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdColumn {
    /// What people call it.
    pub name: String,
    /// Ids are below this; [`UNKNOWN_ID`] is one of them.
    pub vocabulary: u32,
}

impl IdColumn {
    /// A column of this name, of which the beginning is told where it is long.
    pub fn new(mut name: String, vocabulary: u32) -> Self {
        name.truncate(cut(&name, ID_COLUMN_NAME_BYTES_MAX).len());
        Self { name, vocabulary }
    }
}

impl ColumnSummary {
    /// What becomes of a column of texts; `is_said`: the user says that these are categories.
    ///
    /// # Errors
    /// Nobody can say.
    pub fn categories(&self, rule: EmbeddingRule, is_said: bool) -> Result<ColumnUse, Doubt> {
        let is_large = self.distinct.len().is_none_or(|count| count > CATEGORIES_MAX);
        if !is_large && rule != EmbeddingRule::All {
            return Ok(ColumnUse::Categorical { categories: self.texts() });
        }
        if is_large && !is_said && self.are_names() {
            return Err(Doubt::ManyTexts);
        }
        match (rule, self.distinct.len()) {
            (EmbeddingRule::Never, _) => Err(Doubt::ManyCategories),
            (_, Some(_)) => Ok(ColumnUse::Embedded { categories: self.texts() }),
            (_, None) => Ok(ColumnUse::Hashed { rows: HASHED_ROWS }),
        }
    }

    fn texts(&self) -> Vec<String> {
        self.distinct.iter().map(|(text, _)| text.to_owned()).collect()
    }

    /// Whether nearly every value is another: nothing can be learnt from what occurs once.
    fn are_names(&self) -> bool {
        // Where there are too many to be counted, those that are tell of the others.
        let counted = (self.numbers.count + self.texts).saturating_sub(self.distinct.others());
        let distinct = self.distinct.len_min() as u64;
        distinct.saturating_mul(VALUES_PER_CATEGORY_MIN) > counted
    }
}

/// The row, from 1, of a text that is hashed to one of so many: 64-bit FNV-1a over its bytes of UTF-8 (Fowler, Noll and Vo),
/// modulo the rows.
pub fn hashed_id(text: &str, rows: u32) -> u32 {
    1 + (fnv_1a(text) % u64::from(rows.max(1))) as u32
}

/// 64-bit FNV-1a.
pub(super) fn fnv_1a(text: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    text.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::ValueRules;

    fn column(values: impl Iterator<Item = String>) -> ColumnSummary {
        let mut summary = ColumnSummary::default();
        values.for_each(|text| summary.add(&text, ValueRules::default().value(&text)));
        summary
    }

    fn of(distinct: u32, values: u32) -> ColumnSummary {
        column((0..values).map(|at| format!("text {}", at % distinct)))
    }

    #[test]
    fn few_texts_are_inputs_and_many_are_looked_up() {
        let count = |usage| match usage {
            ColumnUse::Categorical { categories } => (false, categories.len()),
            ColumnUse::Embedded { categories } => (true, categories.len()),
            other => panic!("{other:?}"),
        };
        use EmbeddingRule::{All, Large, Never};
        for (distinct, rule, expected) in [
            (256, Never, (false, 256)),
            (256, Large, (false, 256)),
            (256, All, (true, 256)),
            (257, Large, (true, 257)),
            (257, All, (true, 257)),
        ] {
            assert_eq!(count(of(distinct, 1_000).categories(rule, false).unwrap()), expected);
        }
        assert_eq!(of(257, 1_000).categories(Never, false), Err(Doubt::ManyCategories));
        assert_eq!(of(257, 1_000).categories(Never, true), Err(Doubt::ManyCategories));
    }

    #[test]
    fn texts_that_occur_about_once_are_names_unless_said_otherwise() {
        assert_eq!(of(600, 1_000).categories(EmbeddingRule::Large, false), Err(Doubt::ManyTexts));
        assert!(of(600, 1_000).categories(EmbeddingRule::Large, true).is_ok());
        // As few as can be inputs are never in doubt.
        assert!(of(200, 201).categories(EmbeddingRule::Large, false).is_ok());
    }

    #[test]
    fn more_than_can_be_named_are_hashed() {
        let hashed = Ok(ColumnUse::Hashed { rows: HASHED_ROWS });
        let categories = of(70_000, 500_000);
        assert_eq!(categories.categories(EmbeddingRule::Large, false), hashed);
        assert_eq!(categories.categories(EmbeddingRule::Never, true), Err(Doubt::ManyCategories));
        assert_eq!(of(200_000, 1_000_000).categories(EmbeddingRule::Large, false), hashed);
        for names in [100_000, 131_073, 400_000] {
            let names = of(names, names);
            assert_eq!(names.categories(EmbeddingRule::Large, false), Err(Doubt::ManyTexts));
            assert_eq!(names.categories(EmbeddingRule::Large, true), hashed);
        }
    }

    /// Published test vectors of FNV-1a.
    #[test]
    fn hashes_are_those_of_fnv_1a() {
        let row = |hash: u64| 1 + (hash % 65_536) as u32;
        for (text, hash) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            assert_eq!(hashed_id(text, HASHED_ROWS), row(hash));
        }
        assert_eq!(hashed_id("a", 0), 1);
    }
}
