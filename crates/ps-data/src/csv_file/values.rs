//! The values of one sample, wherever they come from.

use ps_core::schema::ValueRules;

use super::row::Row;

/// Values by their places.
pub(super) trait Values {
    /// The text there, without the blanks around it.
    fn text(&self, place: usize) -> &str;

    /// The number that is surely there; of all others the text tells more.
    fn plain_number(&self, place: usize, rules: &ValueRules) -> Option<f64>;
}

impl Values for Row<'_> {
    fn text(&self, place: usize) -> &str {
        self.get(place)
    }

    #[inline]
    fn plain_number(&self, place: usize, rules: &ValueRules) -> Option<f64> {
        rules.plain_number(self.bytes(place))
    }
}

/// Texts, and beside them numbers that came as such; NaN where a text came.
pub(super) struct Cells<'a> {
    pub(super) row: Row<'a>,
    pub(super) numbers: &'a [f64],
}

impl Values for Cells<'_> {
    fn text(&self, place: usize) -> &str {
        self.row.get(place)
    }

    fn plain_number(&self, place: usize, rules: &ValueRules) -> Option<f64> {
        let number = self.numbers.get(place).copied().filter(|number| !number.is_nan());
        number.or_else(|| self.row.plain_number(place, rules))
    }
}
