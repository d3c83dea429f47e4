//! Sums that are cut, joined and added up.

use super::*;
use crate::schema::ValueRules;
use proptest::prelude::*;

/// Sums of a table of a number, a text and a label, as a member counts them.
fn sums(rows: &[(i32, u8, u8)]) -> TableSums {
    let rules = ValueRules::default();
    let mut columns = vec![ColumnSums::of_columns(3); 3];
    for (column, name) in columns.iter_mut().zip(["size", "town", "kind"]) {
        column.beginnings = vec![name.to_owned()];
    }
    for (number, town, kind) in rows {
        let kind = format!("kind {}", kind % 5);
        let values = [format!("{}", f64::from(*number) / 8.0), format!("town {town}"), kind];
        for (column, value) in columns.iter_mut().zip(&values) {
            column.values.add(value, rules.value(value));
        }
        columns[2].label.get_or_insert_default().add(&values[2], &rules);
    }
    columns[2].label.get_or_insert_default();
    let place = LinePlace { file: "a: /d/x.csv".to_owned(), line: 1 };
    let beginnings = vec![BeginningLine { place, times: 1, moved: None }];
    let samples = rows.len() as u64;
    TableSums { delimiter: b',', samples, beginnings, unlabelled: None, columns }
}

fn joined(parts: Vec<TablePart>) -> TableSums {
    let mut whole = TableSums::default();
    parts.into_iter().for_each(|part| whole.add_part(part).unwrap());
    whole
}

/// What is judged: all but the numbers' digits beyond those of an `f64`.
fn judged(sums: &TableSums) -> Vec<String> {
    let column = |column: &ColumnSums| {
        let ColumnSummary { numbers, texts, missing, distinct, .. } = &column.values;
        let all: Vec<_> = distinct.iter().collect();
        let classes = column.label.as_ref().map(|label| {
            (label.classes.iter().collect::<Vec<_>>(), label.whole, label.texts, label.flags)
        });
        let numbers = (numbers.count, numbers.mean(), numbers.deviation());
        format!("{:?} {numbers:?} {texts} {missing} {all:?} {classes:?}", column.beginnings)
    };
    sums.columns.iter().map(column).collect()
}

proptest! {
    #[test]
    fn what_is_cut_and_joined_is_the_same(
        rows in proptest::collection::vec((any::<i32>(), any::<u8>(), any::<u8>()), 0..200),
        bytes_max in 1..5_000_usize,
    ) {
        let whole = sums(&rows);
        let parts = whole.parts(bytes_max);
        let longest = COLUMN_BYTES * 2 + 200;
        prop_assert!(parts.iter().all(|part| part.bytes() <= bytes_max.max(longest) + longest));
        let again = joined(parts);
        prop_assert_eq!(again.check(), Ok(()));
        prop_assert_eq!(judged(&again), judged(&whole));
        prop_assert_eq!(again.columns[0].values.early_texts().count(), rows.len());
    }

    #[test]
    fn shares_add_up_to_the_whole_in_any_order(
        rows in proptest::collection::vec((any::<i32>(), any::<u8>(), any::<u8>()), 1..200),
        cuts in proptest::collection::vec(0..200_usize, 0..4),
        is_turned: bool,
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(rows.len())).collect();
        cuts.extend([0, rows.len()]);
        cuts.sort_unstable();
        let mut shares: Vec<TableSums> =
            cuts.windows(2).map(|cut| joined(sums(&rows[cut[0]..cut[1]]).parts(999))).collect();
        if is_turned {
            shares.reverse();
        }
        let count = shares.len() as u64;
        let sum = TableSums::sum(shares).unwrap().unwrap();
        prop_assert_eq!(judged(&sum), judged(&sums(&rows)));
        prop_assert_eq!(sum.samples, rows.len() as u64);
        prop_assert_eq!(sum.beginnings[0].times, count);
    }
}

#[test]
fn shares_of_another_table_are_named() {
    let says = |other: TableSums, parts: &[&str]| {
        let problem = TableSums::sum(vec![sums(&[(1, 1, 1), (2, 2, 2)]), other]).unwrap_err();
        parts.iter().for_each(|part| assert!(problem.contains(part), "{problem}"));
    };
    let mut other = sums(&[(1, 1, 1)]);
    other.beginnings[0].place.file = "b: /d/y.csv".to_owned();
    says(TableSums { delimiter: b';', ..other.clone() }, &["a: /d/x.csv", "b: /d/y.csv", "`;`"]);
    let mut label = other.clone();
    label.columns[1].label = label.columns[2].label.take();
    says(label, &["column 2", "column 3", "as its label"]);
    other.columns.pop();
    says(other, &["a: /d/x.csv", "b: /d/y.csv", "has 3 columns", "has 2"]);
}

#[test]
fn counts_that_cannot_be_are_refused() {
    let good = sums(&[(1, 1, 1), (2, 2, 2)]);
    let mut more = good.clone();
    more.columns[0].values.missing = u64::MAX;
    assert!(more.check().unwrap_err().contains("column 1"));
    let mut texts = good.clone();
    texts.columns[1].values.distinct.add_others(5);
    assert!(texts.check().unwrap_err().contains("column 2"));
    let mut none = good.clone();
    none.columns[1].beginnings.clear();
    assert!(none.check().unwrap_err().contains("column 2"));
    assert!(TableSums::default().check().is_err());
    let part = TablePart { columns: 1 << 30, ..TablePart::default() };
    assert!(TableSums::default().add_part(part).is_err());
    let mut part = good.parts(9_999).remove(0);
    part.sums[0].column = 7;
    assert!(TableSums::default().add_part(part).is_err());
}
