//! Which files are trained on and which are measured with, by their names.

use super::common::{assert_says, folder};
use ps_data::{DataSource, Dataset, Error, Format, HeldOut, StreamInput, load, stream_files};
use tempfile::TempDir;

/// A row each, so that counts tell the files apart.
const ROWS: [&[u8]; 5] =
    [b"", b"1,0\n", b"1,0\n2,1\n", b"1,0\n2,1\n3,1\n", b"1,0\n2,1\n3,1\n4,0\n"];

/// A folder of these files, each with so many rows.
fn rows(files: &[(&str, usize)]) -> TempDir {
    folder(&files.iter().map(|&(name, rows)| (name, ROWS[rows])).collect::<Vec<_>>())
}

fn sets(files: &[(&str, usize)]) -> Result<Dataset, Error> {
    load(&DataSource::folder(rows(files).path()))
}

#[track_caller]
fn assert_sets(files: &[(&str, usize)], train: usize, test: usize) {
    let data = sets(files).unwrap_or_else(|error| panic!("{files:?}: {error}"));
    assert_eq!((data.train.len(), data.test.len()), (train, test), "{files:?}");
}

#[test]
fn regression_prefixes_and_other_words_say_the_set() {
    assert_sets(&[("train.csv", 3), ("val.csv", 2)], 3, 2);
    assert_sets(&[("train/a.csv", 3), ("valid/a.csv", 2)], 3, 2);
    assert_sets(&[("mnist_train.csv", 3), ("mnist_test.csv", 2)], 3, 2);
    assert_sets(&[("x-training.csv", 3), ("x-eval.csv.gz", 2)], 3, 2);
    assert_sets(&[("train01.csv", 1), ("train02.csv", 2), ("dev01.csv", 1)], 3, 1);
    assert_sets(&[("fold/train.csv", 3), ("fold/test.csv", 2)], 3, 2);
    assert_sets(&[("adult.data", 3), ("adult.test", 2)], 3, 2);
    assert_sets(&[("contest.csv", 3), ("trainer.csv", 1)], 4, 0);
    assert_sets(&[("more.csv", 3), ("test.csv", 1)], 3, 1);
}

#[test]
fn regression_validation_files_beside_test_files_are_a_set_of_their_own() {
    assert_sets(&[("train.csv", 3), ("val.csv", 1), ("test.csv", 2)], 3, 2);
    let dir = rows(&[("train.csv", 3), ("val.csv", 1), ("test.csv", 2)]);
    let data = load(&DataSource::folder(dir.path())).unwrap();
    assert_eq!((data.test.len(), data.validation.len()), (2, 1));
    let StreamInput::Files(files) = stream_files(&DataSource::folder(dir.path())).unwrap().from
    else {
        panic!("files are no FIFOs");
    };
    assert_eq!(files, [dir.path().join("train.csv")]);
}

/// Samples of each set of these files, where `--validation` names one of them or another folder.
fn validated(files: &[(&str, usize)], validation: &str) -> [usize; 3] {
    let dir = rows(files);
    let validation = Some(dir.path().join(validation));
    let source = DataSource { validation, ..DataSource::folder(dir.path()) };
    let data = load(&source).unwrap();
    [data.train.len(), data.test.len(), data.validation.len()]
}

#[test]
fn a_validation_set_may_be_named() {
    let sets = [("train.csv", 3), ("test.csv", 2), ("val.csv", 1)];
    assert_eq!(validated(&sets, "val.csv"), [3, 2, 1]);
    // Not those in the folder of --data, where others are named; and what is measured with is not trained on.
    let named = [("train.csv", 3), ("train2.csv", 4), ("test.csv", 2), ("val.csv", 1)];
    assert_eq!(validated(&named, "train2.csv"), [3, 2, 4]);
    // Alone it is what tells at the end.
    assert_eq!(validated(&[("a.csv", 3), ("b.csv", 2)], "b.csv"), [3, 2, 0]);
}

#[test]
fn samples_may_be_held_out_where_no_files_are() {
    let held_out = Some(HeldOut { share: 0.25, seed: 1 });
    let dir = rows(&[("train.csv", 4), ("test.csv", 2)]);
    let source = DataSource { held_out, ..DataSource::folder(dir.path()) };
    let data = load(&source).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.validation.len()), (3, 2, 1));
    assert_eq!(data, load(&source).unwrap());
    let dir = rows(&[("train.csv", 4), ("test.csv", 2), ("val.csv", 2)]);
    let source = DataSource { held_out, ..DataSource::folder(dir.path()) };
    assert_says(load(&source), &["--validation-split beside validation files"]);
    let digits = load(&DataSource { held_out, ..DataSource::default() }).unwrap();
    assert_eq!((digits.train.len(), digits.validation.len()), (1078, 359));
}

#[test]
fn regression_files_of_no_set_beside_others_stop_the_job() {
    let names = ["extra.csv", "no set by their names", "rename them", "--ignore-files"];
    assert_says(sets(&[("train.csv", 1), ("test.csv", 1), ("extra.csv", 1)]), &names);
    assert_says(sets(&[("train.csv", 1), ("extra.csv", 1)]), &names);
    assert_says(
        sets(&[("train.csv", 1), ("val.csv", 1), ("train_test.csv", 1)]),
        &["train_test.csv"],
    );
    let many: Vec<String> = (0..11).map(|part| format!("part-{part:02}.csv")).collect();
    let mut files = vec![("train.csv", 1)];
    files.extend(many.iter().map(|name| (name.as_str(), 1)));
    assert_says(sets(&files), &["11 csv file(s)", "part-07.csv and 3 more"]);
    // Of another format, and so no data at all.
    assert_sets(&[("train.csv", 3), ("test.csv", 1), ("licence", 1), ("a.md", 1)], 3, 1);
}

#[test]
fn files_for_measuring_alone_are_nothing_to_train_on() {
    assert_says(sets(&[("val.csv", 1)]), &["looked for train.csv", "found val.csv"]);
    assert_says(sets(&[("a_test.csv", 1), ("dev.csv", 1)]), &["looked for train.csv"]);
}

#[test]
fn a_set_of_which_every_file_is_empty_is_missed() {
    assert_says(sets(&[("train.csv", 2), ("test.csv", 0)]), &["test.csv", "empty", "sample"]);
    assert_says(sets(&[("train.csv", 0), ("a.csv", 2), ("test.csv", 1)]), &["train.csv", "empty"]);
    assert_sets(&[("train.csv", 2), ("test/a.csv", 0), ("test/b.csv", 1)], 2, 1);
    assert_sets(&[("train.csv", 2), ("test.log", 0)], 2, 0);
}

#[test]
fn a_folder_of_its_own_for_testing_leaves_out_what_the_other_has() {
    let both = [("train.csv", 3), ("test.csv", 2)];
    let load = |train: &[(&str, usize)], test: &[(&str, usize)]| {
        let (train, test) = (rows(train), rows(test));
        let source =
            DataSource { test: Some(test.path().to_owned()), ..DataSource::folder(train.path()) };
        load(&source).map(|data| (data.train.len(), data.test.len()))
    };
    assert_eq!(load(&both, &[("a.csv", 1)]).unwrap(), (3, 1));
    assert_eq!(load(&[("a.csv", 3), ("test.csv", 2)], &[("a.csv", 1)]).unwrap(), (3, 1));
    assert_eq!(load(&[("val.csv", 3)], &[("train.csv", 1)]).unwrap(), (3, 1));
    assert_eq!(load(&[("a.csv", 3)], &both).unwrap(), (3, 2));
    assert_eq!(load(&[("a.csv", 3)], &[("val.csv", 2), ("train.csv", 1)]).unwrap(), (3, 2));
    assert_says(load(&[("a.csv", 3)], &[("test.csv", 2), ("b.csv", 1)]), &["b.csv", "no set"]);
    assert_says(load(&[("train.csv", 3), ("b.csv", 1)], &[("a.csv", 2)]), &["b.csv", "no set"]);
}

#[test]
fn regression_a_test_file_among_the_training_files_is_not_trained_on() {
    let dir = rows(&[("a.csv", 3), ("holdout.csv", 2)]);
    let test = Some(dir.path().join("holdout.csv"));
    let data = load(&DataSource { test, ..DataSource::folder(dir.path()) }).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (3, 2));
    // A file is legal where a folder is; and its name does not matter where an option says the set.
    let (train, test) = (dir.path().join("holdout.csv"), Some(dir.path().join("a.csv")));
    let data = load(&DataSource { test, ..DataSource::folder(train) }).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (2, 3));
}

#[test]
fn regression_names_that_begin_with_a_line_or_a_dot_are_no_data() {
    let dir = folder(&[
        ("_SUCCESS", b""),
        ("_committed_77", b"{\"added\": []}"),
        ("_started_77", b"\n"),
        (".part-0.csv.crc", b"crc\0"),
        ("_temporary/0/part-0.csv", b"5,1\n"),
        (".ipynb_checkpoints/train.csv", b"5,1\n"),
        ("part-0.csv", b"1,0\n2,1\n"),
        ("part-1.csv", b"3,0\n"),
    ]);
    for format in [Format::Auto, Format::Csv] {
        for sharded in [false, true] {
            let source = DataSource { format, sharded, ..DataSource::folder(dir.path()) };
            assert_eq!(load(&source).unwrap().train.len(), 3, "{format:?} {sharded}");
        }
    }
}

#[test]
fn patterns_leave_files_out() {
    let dir = rows(&[("train.csv", 3), ("test.csv", 1), ("b/old.csv", 2), ("b/older.csv", 2)]);
    let with = |patterns: &[&str]| {
        let ignore_files = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        load(&DataSource { ignore_files, ..DataSource::folder(dir.path()) })
    };
    for patterns in [&["b/*"][..], &["old*"], &["old.csv", "*er.csv"], &["b/*", "older.csv"]] {
        assert_eq!(with(patterns).unwrap().train.len(), 3, "{patterns:?}");
    }
    assert_says(with(&["old.csv"]), &["b/older.csv", "no set"]);
    assert_says(with(&["b/*", "typo*"]), &["--ignore-files typo*", "no file below --data"]);
    assert_says(with(&["b"]), &["--ignore-files b", "`FOLDER/*`"]);
    assert_says(with(&["["]), &["--ignore-files [", "no pattern"]);
    assert_says(with(&[""]), &["--ignore-files"]);
    assert_says(with(&["*"]), &["no data in", "4 skipped", "as --ignore-files says"]);
    let nowhere = DataSource { ignore_files: vec!["a*".to_owned()], ..DataSource::default() };
    assert_says(load(&nowhere), &["--ignore-files a*", "no file below --data"]);
    // Another host has the file.
    let ignore_files = vec!["typo*".to_owned(), "b/*".to_owned()];
    let share = DataSource { ignore_files, sharded: true, ..DataSource::folder(dir.path()) };
    assert_eq!(load(&share).unwrap().train.len(), 3);
}
