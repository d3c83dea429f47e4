//! How stale applied gradients were: pushes counted by staleness, in bounded memory.

use crate::limits::STALENESS_EXACT_MAX;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Pushes by staleness: one by one up to [`STALENESS_EXACT_MAX`], above in powers of two, where a
/// value counts as the next power.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Staleness {
    counts: BTreeMap<u64, u64>,
}

impl Staleness {
    /// A histogram from what [`Staleness::counts`] gave.
    pub fn from_counts(counts: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut all = Self::default();
        for (staleness, pushes) in counts {
            all.add(staleness, pushes);
        }
        all
    }

    /// Counts some pushes of one staleness.
    pub fn add(&mut self, staleness: u64, pushes: u64) {
        if pushes > 0 {
            let count = self.counts.entry(bucket(staleness)).or_default();
            *count = count.saturating_add(pushes);
        }
    }

    /// Adds all that another histogram counted.
    pub fn merge(&mut self, other: &Self) {
        for (staleness, pushes) in other.counts() {
            self.add(staleness, pushes);
        }
    }

    /// Staleness and pushes, ascending.
    pub fn counts(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.counts.iter().map(|(&staleness, &pushes)| (staleness, pushes))
    }

    /// Pushes counted.
    pub fn pushes(&self) -> u64 {
        self.counts.values().fold(0, |sum, pushes| sum.saturating_add(*pushes))
    }

    /// The least staleness that this share of the pushes does not exceed; 0 when nothing was counted.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = (self.pushes() as f64 * share.clamp(0.0, 1.0)).ceil().max(1.0);
        let mut seen = 0_u64;
        for (staleness, pushes) in self.counts() {
            seen = seen.saturating_add(pushes);
            if seen as f64 >= wanted {
                return staleness;
            }
        }
        self.max()
    }

    /// The histogram on one line: shares of the pushes by staleness, in ranges that double.
    pub fn line(&self) -> String {
        let all = self.pushes().max(1) as f64;
        let mut ranges: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for (staleness, pushes) in self.counts() {
            let last =
                if staleness < 4 { staleness } else { (staleness + 1).next_power_of_two() - 1 };
            let first = if staleness < 4 { staleness } else { last / 2 + 1 };
            *ranges.entry((first, last)).or_default() += pushes;
        }
        let shown = ranges.into_iter().map(|((first, last), pushes)| {
            let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
            format!("{range}: {:.0} %", 100.0 * pushes as f64 / all)
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    /// Half of the pushes were at most this stale.
    pub fn p50(&self) -> u64 {
        self.quantile(0.5)
    }

    /// 99 % of the pushes were at most this stale.
    pub fn p99(&self) -> u64 {
        self.quantile(0.99)
    }

    /// The stalest push; above the exact range the next power of two.
    pub fn max(&self) -> u64 {
        self.counts.last_key_value().map_or(0, |(&staleness, _)| staleness)
    }
}

fn bucket(staleness: u64) -> u64 {
    if staleness <= STALENESS_EXACT_MAX {
        return staleness;
    }
    staleness.checked_next_power_of_two().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_shows_shares_in_doubling_ranges() {
        let counts = [(0, 50), (1, 25), (4, 10), (7, 10), (8, 4), (15, 1)];
        let line = Staleness::from_counts(counts).line();
        assert_eq!(line, "0: 50 %, 1: 25 %, 4-7: 20 %, 8-15: 5 %");
        assert_eq!(Staleness::default().line(), "");
    }

    #[test]
    fn quantiles_are_exact_where_counts_are() {
        let staleness = Staleness::from_counts((0..100).map(|push| (push % 10, 1)));
        assert_eq!((staleness.p50(), staleness.p99(), staleness.max()), (4, 9, 9));
        assert_eq!(staleness.quantile(0.0), 0);
        assert_eq!(Staleness::default().p99(), 0);
    }

    #[test]
    fn large_values_share_powers_of_two() {
        let staleness =
            Staleness::from_counts([(64, 1), (65, 1), (128, 1), (129, 1), (u64::MAX, 1)]);
        let counts: Vec<_> = staleness.counts().collect();
        assert_eq!(counts, vec![(64, 1), (128, 2), (256, 1), (u64::MAX, 1)]);
    }

    #[test]
    fn merging_is_counting_together() {
        let mut one = Staleness::from_counts([(1, 2), (200, 1)]);
        one.merge(&Staleness::from_counts([(1, 3), (0, 1)]));
        assert_eq!(one, Staleness::from_counts([(0, 1), (1, 5), (256, 1)]));
        assert_eq!(one.pushes(), 7);
    }

    #[test]
    fn survives_json() {
        let staleness = Staleness::from_counts([(1, 2), (200, 1)]);
        let text = serde_json::to_string(&staleness).unwrap();
        assert_eq!(text, r#"{"1":2,"256":1}"#);
        assert_eq!(serde_json::from_str::<Staleness>(&text).unwrap(), staleness);
    }
}
