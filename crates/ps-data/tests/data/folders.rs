//! Folders with any number of files, one or two of them, shared or a host's own.

use std::fs;
use std::path::Path;

use super::common::{all, assert_says};
use ps_data::{DataSource, Format, load};
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let bytes = files.iter().map(|(name, text)| (*name, text.as_bytes()));
    super::common::folder(&bytes.collect::<Vec<_>>())
}

/// Links a bundled digits file into a folder.
fn digits(dir: &Path, files: &[(&str, &str)]) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/digits");
    for (from_name, name) in files {
        fs::copy(from.join(from_name), dir.join(name)).unwrap();
    }
}

fn both(train: &TempDir, test: &TempDir) -> DataSource {
    DataSource { test: Some(test.path().to_owned()), ..DataSource::folder(train.path()) }
}

fn sharded(train: &Path, test: Option<&TempDir>) -> DataSource {
    let test = test.map(|dir| dir.path().to_owned());
    DataSource { test, sharded: true, ..DataSource::folder(train) }
}

#[test]
fn csv_files_are_read_in_the_order_of_their_paths_as_one_set() {
    let one = folder(&[("train.csv", "x,y\n1,0\n2,1\n3,2\n4,1\n")]);
    let many = folder(&[
        ("b.csv", "x,y\n2,1\n"),
        ("a/z.csv", "x,y\n1,0\n"),
        ("c/a.csv", "3,2\n4,1\n"),
        ("c/empty.csv", ""),
        (".hidden.csv", "not,a,row\n"),
        ("notes.txt", "not a row"),
    ]);
    let many = load(&DataSource::folder(many.path())).unwrap();
    assert_eq!(many, load(&DataSource::folder(one.path())).unwrap());
    assert_eq!((many.train.len(), many.test.len(), many.test.shape()), (4, 0, &[1][..]));
}

#[test]
fn names_without_an_ending_are_csv_where_the_user_says_so() {
    let dir = folder(&[("part-00000", "1,0\n"), ("part-00001", "3,1\n")]);
    let source = DataSource { format: Format::Csv, ..DataSource::folder(dir.path()) };
    assert_eq!(load(&source).unwrap().train.len(), 2);
    assert_says(load(&DataSource::folder(dir.path())), &["no data in", "found part-00000"]);
}

#[test]
fn headers_of_a_set_must_agree() {
    let dir = folder(&[("a.csv", "x,y\n1,0\n2,1\n"), ("b.csv", "z,y\n3,2\n")]);
    let parts = ["b.csv, line 1, column 1 (`x`)", "`z`", "header of another table"];
    assert_says(load(&DataSource::folder(dir.path())), &parts);
    let dir = folder(&[("a.csv", "1,0\n2,1\n"), ("b.csv", "x,y\n3,2\n")]);
    assert_says(
        load(&DataSource::folder(dir.path())),
        &["b.csv, line 1, column 1", "`x`", "header of another table"],
    );
    let dir = folder(&[("a.csv", "1,0\n2,1\n"), ("b.csv", "3,1,2\n")]);
    assert_says(load(&DataSource::folder(dir.path())), &["b.csv", "3 columns", "expected 2"]);
}

#[test]
fn files_of_texts_alone_may_begin_with_any_text() {
    let dir = folder(&[("a.csv", "a,yes\nb,no\na,no\n"), ("b.csv", "b,yes\nb,no\na,yes\n")]);
    assert_eq!(load(&DataSource::folder(dir.path())).unwrap().train.len(), 6);
    let dir = folder(&[("a.csv", "a,yes\nb,no\na,no\n"), ("b.csv", "a,yes\nb,no\n")]);
    assert_eq!(
        load(&DataSource::folder(dir.path())).unwrap().train.len(),
        5,
        "an equal first line"
    );
    let dir = folder(&[("a.csv", "7,yes\nred,no\n"), ("b.csv", "red,yes\n7,no\nred,no\n")]);
    assert_eq!(load(&DataSource::folder(dir.path())).unwrap().train.len(), 5);
}

#[test]
fn two_folders_hold_one_set_each() {
    let train = folder(&[("part-1.csv", "1,0\n3,1\n"), ("part-2.csv", "5,2\n")]);
    let test = folder(&[("whatever.csv", "7,1\n")]);
    let data = load(&both(&train, &test)).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.outputs), (3, 1, 3));
    // A folder with both sets gives the one that is asked for.
    let set = folder(&[("train.csv", "1,0\n3,1\n"), ("test.csv", "5,1\n")]);
    let alone = load(&DataSource::folder(set.path())).unwrap();
    assert_eq!(load(&both(&set, &set)).unwrap(), alone);
    let set = folder(&[("train/a.csv", "1,0\n3,1\n"), ("validation/a.csv", "5,1\n")]);
    assert_eq!(load(&DataSource::folder(set.path())).unwrap(), alone);
}

#[test]
fn idx_pairs_are_found_in_two_folders() {
    let (train, test) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    digits(train.path(), &[("train-images-idx3-ubyte.gz", "train-images-idx3-ubyte.gz")]);
    digits(train.path(), &[("train-labels-idx1-ubyte.gz", "train-labels-idx1-ubyte.gz")]);
    // Names that say nothing: told by the content.
    digits(test.path(), &[("t10k-images-idx3-ubyte.gz", "pictures")]);
    digits(test.path(), &[("t10k-labels-idx1-ubyte.gz", "classes")]);
    let data = load(&both(&train, &test)).unwrap();
    assert_eq!(data, ps_data::bundled_digits().unwrap());
    let alone = load(&DataSource::folder(train.path())).unwrap();
    assert_eq!((alone.train.len(), alone.test.len(), alone.test.shape()), (1_437, 0, &[8, 8][..]));

    digits(test.path(), &[("t10k-labels-idx1-ubyte.gz", "classes-too")]);
    assert_says(
        load(&both(&train, &test)),
        &["classes-too", "is a file of labels", "expected one"],
    );
}

#[test]
fn formats_must_agree() {
    let (csv, idx) = (folder(&[("a.csv", "1,0\n")]), tempfile::tempdir().unwrap());
    digits(idx.path(), &[("t10k-images-idx3-ubyte.gz", "images-idx3-ubyte.gz")]);
    digits(idx.path(), &[("t10k-labels-idx1-ubyte.gz", "labels-idx1-ubyte.gz")]);
    assert_says(load(&both(&csv, &idx)), &["format idx", "format csv"]);
    let source = DataSource { format: Format::Idx, ..DataSource::folder(csv.path()) };
    assert_says(load(&source), &["no data in", "found a.csv"]);
    let empty = tempfile::tempdir().unwrap();
    assert_says(load(&both(&csv, &empty)), &["point --test at"]);
}

#[test]
fn classes_can_be_more_than_the_labels_show() {
    let dir = folder(&[("train.csv", "1,0\n3,1\n")]);
    let with = |classes| DataSource { classes: Some(classes), ..DataSource::folder(dir.path()) };
    assert_eq!(load(&with(10)).unwrap().outputs, 10);
    assert_says(load(&with(1)), &["--classes 1", "fewer than the 2"]);
    assert_says(load(&with(1 << 20)), &["the limit is 65536"]);
}

#[test]
fn a_share_is_read_without_learning_from_it() {
    let dir = folder(&[("a.csv", "x,y\n1,0\n300,1\n"), ("b.csv", "x,y\n-5,3\n")]);
    let data = load(&sharded(dir.path(), None)).unwrap();
    assert_eq!(all(&data.train), (vec![1.0, 300.0, -5.0], vec![0, 1, 3]));
    assert_eq!(data.outputs, 4);
}

#[test]
fn an_empty_share_is_legal() {
    let (empty, test) = (tempfile::tempdir().unwrap(), folder(&[("a.csv", "1,2,1\n")]));
    for path in [empty.path(), &empty.path().join("absent")] {
        let data = load(&sharded(path, None)).unwrap();
        assert_eq!((data.train.len(), data.test.len(), data.outputs), (0, 0, 0));
        let data = load(&sharded(path, Some(&test))).unwrap();
        assert_eq!((data.train.len(), data.test.len()), (0, 1));
        assert_eq!((data.train.shape(), data.outputs), (&[2][..], 2));
    }
}

#[test]
fn a_share_may_be_test_data_alone() {
    let dir = folder(&[("test.csv", "1,2,1\n")]);
    let data = load(&sharded(dir.path(), None)).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.outputs), (0, 1, 2));
    let dir = tempfile::tempdir().unwrap();
    digits(dir.path(), &[("t10k-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz")]);
    digits(dir.path(), &[("t10k-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz")]);
    let data = load(&sharded(dir.path(), None)).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.train.shape()), (0, 360, &[8, 8][..]));
}

#[test]
fn texts_in_a_share_are_refused() {
    let dir = folder(&[("a.csv", "x,y\n1,0\n"), ("b.csv", "x,y\n2,1\nred,1\n")]);
    let parts =
        ["b.csv, line 3, column 1 (`x`)", "`red`", "no master to learn them together", "--schema"];
    assert_says(load(&sharded(dir.path(), None)), &parts);
    let dir = folder(&[("a.csv", "1,0.5\n")]);
    assert_says(load(&sharded(dir.path(), None)), &["line 1, column 2", "label 0.5"]);
    let dir = folder(&[("a.csv", "1,0\n"), ("b.csv", "1,2,0\n")]);
    assert_says(load(&sharded(dir.path(), None)), &["b.csv", "[2]", "a.csv", "[1]"]);
}
