//! CSV files: headers, columns, labels, and errors that name file, line and column.

use std::fs;
use std::path::Path;

use super::common::{all, assert_says};
use ps_core::Task;
use ps_data::{ColumnChoice, DataSource, Dataset, Error, TableOptions};

fn load(dir: &Path) -> Result<Dataset, Error> {
    ps_data::load(&DataSource::folder(dir))
}

fn read(train: &str, test: &str) -> Result<Dataset, Error> {
    read_with(train, test, &ColumnChoice::Last)
}

fn read_with(train: &str, test: &str, label: &ColumnChoice) -> Result<Dataset, Error> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("train.csv"), train).unwrap();
    fs::write(dir.path().join("test.csv"), test).unwrap();
    let source = DataSource {
        table: TableOptions::with_label(label.clone()),
        ..DataSource::folder(dir.path())
    };
    ps_data::load(&source)
}

#[test]
fn numbers_and_texts_become_inputs() {
    let train = "age, job, income\n1, cook, high\n3, baker, low\n";
    let data = read(train, "age,job,income\n5,cook,low\n2,pilot,high\n").unwrap();
    assert_eq!(data.train.shape(), [3]);
    // Mean 2, deviation 1; then `baker`, `cook`; classes `high`, `low`.
    assert_eq!(all(&data.train), (vec![-1.0, 0.0, 1.0, 1.0, 1.0, 0.0], vec![0, 1]));
    assert_eq!(all(&data.test), (vec![3.0, 0.0, 1.0, 0.0, 0.0, 0.0], vec![1, 0]));
    assert_eq!(data.outputs, 2);
}

/// Both sets, without what was understood of them.
fn sets(data: Result<Dataset, Error>) -> [(Vec<f32>, Vec<u32>); 2] {
    let data = data.unwrap();
    [all(&data.train), all(&data.test)]
}

#[test]
fn a_header_is_optional_in_both_files() {
    let without = sets(read("1,0\n3,2\n", "1,0\n"));
    assert_eq!(sets(read("x,y\n1,0\n3,2\n", "1,0\n")), without);
    assert_eq!(sets(read("x,y\n1,0\n3,2\n", "x,y\n1,0\n")), without);
    let marked = read("\u{feff}x,y\r\n1,0\r\n3,2\r\n", "\u{feff}x,y\r\n1,0\r\n");
    assert_eq!(sets(marked), without);
    assert_eq!(read("1,0\n3,2\n", "1,0\n").unwrap().outputs, 2, "what occurs is a class");
}

#[test]
fn a_file_of_texts_has_a_header_only_if_its_texts_do_not_occur_again() {
    let samples = "a,yes\nb,no\na,no\n";
    assert_eq!(read(samples, "a,yes\n").unwrap().train.len(), 3);
    let data = read(&format!("letter,answer\n{samples}"), "a,yes\n").unwrap();
    assert_eq!(data.train.len(), 3);
}

#[test]
fn the_label_column_can_be_chosen() {
    let (train, test) = ("y,x\n0,1\n1,3\n", "y,x\n1,1\n");
    let named = read_with(train, test, &"y".parse().unwrap()).unwrap();
    assert_eq!(all(&named.train), (vec![-1.0, 1.0], vec![0, 1]));
    assert_eq!(read_with(train, test, &"1".parse().unwrap()).unwrap(), named);
    assert_says(read_with(train, test, &"z".parse().unwrap()), &["`z`", "y, x"]);
    assert_says(read_with(train, test, &"3".parse().unwrap()), &["column 3 was asked", "1 to 2"]);
}

#[test]
fn a_bad_number_is_named_by_file_line_and_column() {
    let result = read("age,y\n1,0\n3,1\n", "age,y\n1,0\nten,1\n");
    assert_says(result, &["test.csv, line 3, column 1 (`age`)", "`ten`", "--missing 'ten'"]);
    let many: String = (0..300).map(|number| format!("{number},0\n")).collect();
    let result = read(&format!("{many}ten,1\n"), "1,0\n");
    let parts = ["train.csv, line 301, column 1:", "`ten`", "300 of 301", "--categorical 1"];
    assert_says(result, &parts);
}

#[test]
fn an_unknown_label_is_named() {
    let result = read("1,no\n2,yes\n3,no\n", "1,maybe\n");
    assert_says(result, &["test.csv, line 1, column 2", "`maybe`", "`no`, `yes`"]);
    let result = read("1,0\n2,1\n", "1,2\n");
    assert_says(result, &["test.csv, line 1, column 2", "`2`", "`0`, `1`"]);
}

#[test]
fn a_class_that_few_test_samples_have_alone_counts_as_never_told() {
    let data = read("1,0\n2,1\n", "1,0\n2,1\n3,7\n").unwrap();
    assert_eq!((data.outputs, data.test.labels().classes()), (3, &[0, 1, 2][..]));
    assert_eq!(data.schema.unwrap().classes(), ["0", "1", "7"]);
}

#[test]
fn regression_measured_labels_are_no_classes() {
    let train: String = (0..600).map(|number| format!("1,{number}.5\n")).collect();
    let data = read(&train, "1,0.5\n").unwrap();
    assert_eq!((data.task, data.outputs), (Task::Regression, 1));
    let scale = data.label_scales()[0];
    assert!((scale.number(data.test.labels().numbers(0)[0]) - 0.5).abs() < 1e-3);
    assert_says(read(&train, "1,x\n"), &["test.csv, line 1, column 2", "label `x`", "number"]);
    let train: String = (0..70_000).map(|number| format!("1,n{number}\n")).collect();
    assert_says(read(&train, "1,0.5\n"), &["column 2", "65536 distinct labels", "--label"]);
}

#[test]
fn lines_of_another_length_are_named() {
    assert_says(read("1,2,0\n1,0\n", "1,2,0\n"), &["train.csv, line 2: 2 columns", "3"]);
    assert_says(read("1,2,0\n", "1,0\n"), &["test.csv, line 1: 2 columns", "expected 3"]);
    assert_says(read("1\n2\n", "1\n"), &["1 columns", "expected 2"]);
}

#[test]
fn files_without_samples_are_refused() {
    assert_says(read("", "1,0\n"), &["looked for train.csv", "found test.csv, train.csv"]);
    assert_says(read("x,y\n", "1,0\n"), &["train.csv", "no line of values"]);
    assert_says(read("x,y\n1,0\n2,1\n", "x,y\n"), &["test.csv", "no line of values"]);
}

#[test]
fn text_that_is_not_utf8_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("train.csv"), b"1,0\n2,\xff\n").unwrap();
    fs::write(dir.path().join("test.csv"), "1,0\n").unwrap();
    assert_says(load(dir.path()), &["train.csv", "line 2: column 2", "UTF-8"]);
}

#[test]
fn test_files_alone_are_nothing_to_train_on() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("test.csv"), "1,0\n").unwrap();
    assert_says(load(dir.path()), &["looked for train.csv", "found test.csv", "--test"]);
}
