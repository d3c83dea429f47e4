//! What is said to become of every file.

use super::common::{assert_error_says, becomes, folder, packed};
use ps_data::{DataSource, FileRole, Format, files};

#[test]
fn every_file_is_listed_with_what_becomes_of_it() {
    let empty = packed(b"");
    let dir = folder(&[
        ("train/a.csv", b"1,0\n2,1\n"),
        ("train/b.csv.gz", &empty),
        ("test.csv", b"1,0\n"),
        ("val.csv", b"1,0\n"),
        ("extra.csv", b"1,0\n"),
        ("LICENSE", b"You may, or you may not.\n"),
        ("_logs/x.csv", b"1"),
    ]);
    let ignore_files = vec!["extra*".to_owned()];
    let source = DataSource { ignore_files, ..DataSource::folder(dir.path()) };
    let list = files(&source).unwrap();
    let found = becomes(dir.path(), &list);
    let found: Vec<_> = found.iter().map(|(path, role)| (path.as_str(), role.as_str())).collect();
    assert_eq!(
        found,
        [
            ("LICENSE", "not of the format csv of this set"),
            ("_logs", "names that begin with `_` or `.` are no data"),
            ("extra.csv", "ignored, as --ignore-files says"),
            ("test.csv", "test"),
            ("train/a.csv", "training"),
            ("train/b.csv.gz", "empty"),
            ("val.csv", "validation"),
        ]
    );
    assert!(list.problem.is_none());
    assert!(
        list.notes[0].contains("validation files, measured with during training: val.csv"),
        "{:?}",
        list.notes
    );
    let formats: Vec<_> = list.files.iter().map(|file| file.format).collect();
    assert_eq!(formats[3..], [Some(Format::Csv), Some(Format::Csv), None, Some(Format::Csv)]);
}

#[test]
fn a_folder_that_no_job_starts_on_is_listed_with_the_reason() {
    let dir = folder(&[("train.csv", b"1,0\n"), ("extra.csv", b"1,0\n"), ("_x", b"")]);
    let list = files(&DataSource::folder(dir.path())).unwrap();
    assert_error_says(list.problem.as_ref().unwrap(), &["extra.csv", "no set by their names"]);
    let roles: Vec<_> = becomes(dir.path(), &list).into_iter().map(|(_, role)| role).collect();
    assert_eq!(roles[1..], ["undecided", "undecided"]);
    assert_eq!(files(&DataSource::default()).unwrap().files, []);
    let nowhere = files(&DataSource::folder(dir.path().join("nowhere"))).unwrap();
    assert!(nowhere.problem.is_some() && nowhere.files.is_empty());
}

#[test]
fn one_folder_for_both_sets_is_listed_once() {
    let dir = folder(&[("train.csv", b"1,0\n"), ("test.csv", b"1,0\n")]);
    let test = Some(dir.path().to_owned());
    let list = files(&DataSource { test, ..DataSource::folder(dir.path()) }).unwrap();
    let roles: Vec<_> = list.files.iter().map(|file| file.role.clone()).collect();
    assert_eq!(roles, [FileRole::Test, FileRole::Training]);
}

#[test]
fn what_people_should_know_of_a_choice_is_said() {
    let note = |files_there: &[(&str, &[u8])]| {
        let dir = folder(files_there);
        files(&DataSource::folder(dir.path())).unwrap().notes.join("\n")
    };
    let row: &[u8] = b"1,0\n2,1\n";
    let said = note(&[("train.csv", row), ("val.csv", row)]);
    assert!(said.contains("the validation files are the test set"), "{said}");
    let said = note(&[("a.csv", row), ("test.csv", row)]);
    assert!(said.contains("trained on, as no name says `train`: a.csv"), "{said}");
    let said = note(&[("part-0", row)]);
    assert!(said.contains("taken for CSV by its content, not its name: part-0"), "{said}");
    assert_eq!(note(&[("train.csv", row), ("test.csv", row)]), "");
}
