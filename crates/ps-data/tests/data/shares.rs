//! Tables in shares that no process sees together.

use std::fmt::Write as _;

use super::common::{assert_says, folder};
use proptest::prelude::*;
use ps_core::schema::{EmbeddingRule, Schema, TableSums};
use ps_data::{DataSource, Error, HeaderChoice, TableOptions, load, schema_of_sums, table_sums};

const HEADER: &str = "colour,size,town,kind\n";

/// A colour, a number that is missing now and then, one of many towns, and what is to be told.
fn rows(rows: std::ops::Range<usize>) -> String {
    let mut text = String::new();
    for row in rows {
        let size = if row % 11 == 3 { String::new() } else { format!("{}.{}", row % 7, row % 10) };
        let (colour, town) = (["red", "green"][row % 2], row % 300);
        writeln!(text, "{colour},{size},town {town},{}", ["ash", "oak", "elm"][row % 3]).unwrap();
    }
    text
}

fn with_header(text: &str) -> String {
    format!("{HEADER}{text}")
}

fn options() -> TableOptions {
    TableOptions { embedding: EmbeddingRule::Large, ..TableOptions::default() }
}

/// What members make of these shares, each of which some processes of one machine read.
fn learnt(shares: &[String], table: &TableOptions, workers: u32) -> Result<Schema, Error> {
    let mut all = Vec::new();
    let mut source = DataSource { table: table.clone(), sharded: true, ..DataSource::default() };
    for (number, share) in shares.iter().enumerate() {
        let dir = folder(&[("train.csv", share.as_bytes())]);
        source.train = Some(dir.path().to_owned());
        for index in 0..workers {
            let who = format!("host {number}");
            let Some(sums) = table_sums(&source, &who, (index, workers))? else { continue };
            // As they come over the wire.
            let mut again = TableSums::default();
            for part in sums.parts(500) {
                again.add_part(part).map_err(Error::Options)?;
            }
            again.check().map_err(Error::Options)?;
            all.push(again);
        }
    }
    let sum = TableSums::sum(all).map_err(Error::Options)?.unwrap();
    schema_of_sums(&sum, &source).map(|schema| (*schema).clone())
}

fn whole(text: &str, table: &TableOptions) -> Schema {
    let dir = folder(&[("train.csv", text.as_bytes())]);
    let source = DataSource { table: table.clone(), ..DataSource::folder(dir.path()) };
    (*load(&source).unwrap().schema.unwrap()).clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn shares_have_the_schema_of_the_whole(
        cuts in proptest::collection::vec(0..900_usize, 0..4),
        workers in 1..4_u32,
        is_turned: bool,
    ) {
        let mut cuts = [cuts, vec![0, 900]].concat();
        cuts.sort_unstable();
        let mut shares: Vec<String> =
            cuts.windows(2).map(|cut| with_header(&rows(cut[0]..cut[1]))).collect();
        if is_turned {
            shares.reverse();
        }
        let schema = learnt(&shares, &options(), workers).unwrap();
        prop_assert_eq!(schema, whole(&with_header(&rows(0..900)), &options()));
    }
}

#[test]
fn tables_without_a_header_are_learnt_from_their_first_lines_too() {
    let shares = [rows(0..400), rows(400..401), rows(401..900)];
    for workers in [1, 2] {
        let schema = learnt(&shares, &options(), workers).unwrap();
        assert_eq!(schema, whole(&rows(0..900), &options()));
    }
    let no = TableOptions { header: HeaderChoice::No, ..options() };
    let twice = [rows(0..600), rows(0..600)];
    assert_eq!(learnt(&twice, &no, 1).unwrap(), whole(&twice.concat(), &no));
}

#[test]
fn a_share_may_have_no_header_and_another_no_line() {
    let shares = [with_header(&rows(0..400)), rows(400..900), HEADER.to_owned(), String::new()];
    let schema = learnt(&shares, &options(), 1).unwrap();
    assert_eq!(schema, whole(&with_header(&rows(0..900)), &options()));
}

#[test]
fn kinds_follow_from_all_shares() {
    let numbers = "code,kind\n".to_owned() + &"7,a\n8,b\n9,a\n".repeat(10);
    let texts = "code,kind\n".to_owned() + &"x7,a\ny8,b\n7,c\n".repeat(40);
    let schema = learnt(&[numbers.clone(), texts], &options(), 1).unwrap();
    assert_eq!(schema.classes(), ["a", "b", "c"]);
    assert_eq!(schema.width(), 5, "7, 8, 9, x7 and y8");
    // One text among numbers is asked about, wherever it is.
    let stray = "code,kind\n".to_owned() + "7,a\noops,b\n";
    assert_says(
        learnt(&[numbers, stray], &options(), 1),
        &["host 1", "train.csv", "line 3", "`oops`"],
    );
}

#[test]
fn shares_of_other_tables_are_named() {
    let other = format!("colour,weight,town,kind\n{}", rows(400..900));
    let shares = [with_header(&rows(0..400)), other];
    assert_says(learnt(&shares, &options(), 1), &["host 0", "host 1", "weight", "size"]);
    let wider = rows(0..9).replace('\n', ",1\n");
    let shares = [with_header(&rows(0..400)), wider];
    assert_says(learnt(&shares, &options(), 1), &["host 0", "host 1", "4 columns", "has 5"]);
    let unlabelled = format!("{}red,1,town 1,\n", with_header(&rows(400..900)));
    let shares = [with_header(&rows(0..400)), unlabelled];
    assert_says(learnt(&shares, &options(), 1), &["host 1", "line 502", "label is missing"]);
}
