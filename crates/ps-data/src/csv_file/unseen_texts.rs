//! Texts that training never saw.

use ps_core::schema::Schema;

use super::encode::Encoder;

/// Texts of a column that training never saw: they count as nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnseenTexts {
    /// What the column is called.
    pub column: String,
    /// How many there were.
    pub count: u64,
    /// The first of them.
    pub example: String,
}

/// Those that were encoded so far, by their columns.
pub(super) fn unseen_texts(schema: &Schema, encoder: &Encoder) -> Vec<UnseenTexts> {
    let unseen = encoder.unknown.iter().map(|(at, (count, example))| UnseenTexts {
        column: schema.column_name(*at),
        count: *count,
        example: example.clone(),
    });
    unseen.collect()
}
