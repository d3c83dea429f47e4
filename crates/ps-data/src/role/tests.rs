use std::path::{Path, PathBuf};

use super::Role::{Test, Training, Validation};
use super::{ByRole, Role};

fn role(inner: &str) -> Option<Role> {
    Role::of_file(Path::new("/test/train"), &Path::new("/test/train").join(inner))
}

#[test]
fn regression_words_of_a_name_say_the_set() {
    for (names, expected) in [
        (
            &["train.csv", "TRAINING.csv.gz", "mnist_train.csv", "train-00001-of-00002", "a.train"]
                [..],
            Training,
        ),
        (&["train01.csv", "my train.csv", "train/a.csv", "x-train/y/z.csv"], Training),
        (&["test.csv", "adult.test", "iris-test-v2.csv", "Test/a.csv", "test2/a.csv"], Test),
        (
            &["val.csv", "valid/a.csv", "validation.csv", "dev.tsv", "eval_1.csv", "a.val.csv"],
            Validation,
        ),
        (&["train/test.csv", "fold1/train/test.csv", "train_test/train.csv"], Training),
    ] {
        for name in names {
            assert_eq!(role(name), Some(expected), "{name}");
        }
    }
    let none = ["a.csv", "contest.csv", "trainer.csv", "evaluation", "1.csv", "train_test.csv", ""];
    for name in none {
        assert_eq!(role(name), None, "{name}");
    }
}

#[test]
fn files_with_the_ending_data_are_trained_on_beside_one_with_the_ending_test() {
    let files = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
    let by_role = |names: &[&str]| ByRole::new(Path::new(""), files(names));
    let found = by_role(&["adult.data", "adult.test.gz"]);
    assert_eq!((found.training, found.test), (files(&["adult.data"]), files(&["adult.test.gz"])));
    let found = by_role(&["adult.data", "test.csv"]);
    assert_eq!((found.training.len(), found.unnamed), (0, files(&["adult.data"])));
}
