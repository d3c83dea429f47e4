//! What is strange about data that can be trained on.

use ps_core::TaskChoice;
use ps_data::{ColumnChoice, DataSource, Error, TableOptions, load};
use std::fs;

/// What is said of a table.
fn told(text: &str, options: TableOptions) -> Result<Vec<String>, Error> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("train.csv"), text).unwrap();
    let source = DataSource { table: options, ..DataSource::folder(folder.path()) };
    load(&source).map(|data| data.warnings())
}

fn named(names: &[&str]) -> Vec<ColumnChoice> {
    names.iter().map(|name| ColumnChoice::Name((*name).to_owned())).collect()
}

#[test]
fn good_data_are_nothing_to_warn_of() {
    let warnings = told("a,b,kind\n1,x,ash\n2,y,oak\n3,x,ash\n", TableOptions::default());
    assert_eq!(warnings.unwrap(), Vec::<String>::new());
}

/// Found by newcomers: a job trained for an hour on labels that were all the same.
#[test]
fn regression_labels_and_columns_that_tell_nothing_are_told() {
    let text = "a,b,c,d,kind\n1,x,NA,5,ash\n2,x,NA,5,ash\n3,x,NA,5,ash\n";
    let warnings = told(text, TableOptions::default()).unwrap();
    assert_eq!(warnings.len(), 3, "{warnings:#?}");
    assert!(warnings[0].contains("all 3 training samples are of one class, `ash`"), "{warnings:?}");
    assert!(warnings[1].contains("without a single value") && warnings[1].contains("column `c`;"));
    assert!(warnings[2].contains("columns `b`, `d`;"), "{warnings:?}");
}

#[test]
fn numbers_that_never_change_are_told_as_labels() {
    let options = TableOptions { task: TaskChoice::Regression, ..TableOptions::default() };
    let warnings = told("a,price\n1,7\n2,7\n", options).unwrap();
    assert!(warnings[0].starts_with("the label `price` is "), "{warnings:?}");
    let labels = named(&["x", "y"]);
    let options = TableOptions { labels, task: TaskChoice::MultiLabel, ..TableOptions::default() };
    let warnings = told("a,x,y\n1,0,1\n2,0,0\n", options).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("the label `x` is 0 in all training samples"), "{warnings:?}");
}

#[test]
fn regression_a_table_without_an_input_is_refused_in_words() {
    let options = TableOptions { ignore: named(&["a", "b"]), ..TableOptions::default() };
    let error = told("a,b,kind\n1,2,ash\n2,3,oak\n", options).unwrap_err().to_string();
    for words in ["--ignore: of 3 columns `kind` is the label", "at least one input"] {
        assert!(error.contains(words), "{error}");
    }
}
