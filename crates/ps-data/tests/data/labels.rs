//! Labels that are numbers, or several.

use std::fs;

use super::common::assert_says;
use ps_core::{Task, TaskChoice};
use ps_data::{ColumnChoice, DataSource, Dataset, Error, Labels, TableOptions};

const TRAIN: &str = "x,price,size,new,sold\n1,10.5,3,yes,0\n2,20.5,5,no,1\n3,30.5,4,no,0\n";

fn read(text: &str, labels: &[&str], task: TaskChoice, sharded: bool) -> Result<Dataset, Error> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("train.csv"), text).unwrap();
    let labels = labels.iter().map(|name| name.parse::<ColumnChoice>().unwrap()).collect();
    let table = TableOptions { labels, task, ..TableOptions::default() };
    ps_data::load(&DataSource { table, sharded, ..DataSource::folder(dir.path()) })
}

#[test]
fn several_numbers_are_labels_with_scales_of_their_own() {
    let data = read(TRAIN, &["size", "price"], TaskChoice::Auto, false).unwrap();
    assert_eq!((data.task, data.outputs), (Task::Regression, 2));
    let scales = data.label_scales();
    let second = data.train.labels().numbers(1);
    // In the order of the columns, whatever the order of the options.
    let numbers = [scales[0].number(second[0]), scales[1].number(second[1])];
    assert!((numbers[0] - 20.5).abs() < 1e-5 && (numbers[1] - 5.0).abs() < 1e-5, "{numbers:?}");
    assert_eq!(data.schema.unwrap().output_names(), ["price", "size"]);
}

#[test]
fn columns_of_yes_and_no_are_labels_that_a_sample_has_or_not() {
    let data = read(TRAIN, &["new", "sold"], TaskChoice::Auto, false).unwrap();
    assert_eq!((data.task, data.outputs), (Task::MultiLabel, 2));
    let expected = Labels::Numbers { each: 2, values: vec![1.0, 0.0, 0.0, 1.0, 0.0, 0.0] };
    assert_eq!(*data.train.labels(), expected);
    assert_says(
        read(TRAIN, &["new", "price"], TaskChoice::Auto, false),
        &["column 4 (`new`)", "no numbers", "several label columns"],
    );
    assert_says(
        read(TRAIN, &["new", "sold"], TaskChoice::Classification, false),
        &["2 label columns", "--task multi-label"],
    );
    assert_says(read(TRAIN, &["new", "4"], TaskChoice::Auto, false), &["column 4 is named twice"]);
}

#[test]
fn a_task_that_the_labels_cannot_be_is_refused() {
    assert_says(
        read(TRAIN, &["size"], TaskChoice::Binary, false),
        &["column 3 (`size`)", "3 distinct labels", "two classes"],
    );
    assert_says(
        read(TRAIN, &["price"], TaskChoice::MultiLabel, false),
        &["3 of 3 labels are neither 0 nor 1"],
    );
    let digits = |task| {
        let table = TableOptions { task, ..TableOptions::default() };
        ps_data::load(&DataSource { table, ..DataSource::default() })
    };
    assert_says(digits(TaskChoice::Regression), &["--task regression", "are classes", "CSV"]);
    assert!(digits(TaskChoice::Classification).is_ok());
}

#[test]
fn a_share_of_a_table_has_numbers_as_they_are() {
    let text = "1,10.5\n2,20.5\n";
    let data = read(text, &[], TaskChoice::Regression, true).unwrap();
    assert_eq!((data.task, data.outputs), (Task::Regression, 1));
    assert_eq!(*data.train.labels(), Labels::Numbers { each: 1, values: vec![10.5, 20.5] });
    assert_eq!(data.schema.as_ref().unwrap().task(), Task::Regression);
    assert_says(read(text, &[], TaskChoice::Auto, true), &["label 10.5", "--task regression"]);
}
