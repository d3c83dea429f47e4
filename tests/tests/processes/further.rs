//! A model that is trained further on other data of its kind.

use ps_tests::draws::draws;
use ps_tests::process::{Finished, Process, alone, job_id};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Longer than any of these jobs takes on two slow cores.
const PATIENCE: Duration = Duration::from_secs(90);

/// Lines of a table: which of these kinds a width tells, whose scale is not the same everywhere.
fn table(rows: u64, seed: u64, kinds: &[(&str, f64)]) -> String {
    let mut text = "width,colour,kind\n".to_owned();
    let mut draw = draws(seed);
    for _ in 0..rows {
        let (kind, width) = kinds[(draw() * kinds.len() as f64) as usize];
        let colour = if draw() < 0.5 { "red" } else { "blue" };
        writeln!(text, "{:.3},{colour},{kind}", width + draw()).unwrap();
    }
    text
}

fn train(data: &Path, out: &Path, more: &[&str]) -> Finished {
    let [from, to] = [data, out].map(|path| path.to_str().unwrap());
    let args = ["local", "--instances", "2", "--data", from, "--out", to];
    Process::start(&job_id("further"), &[&args[..], more].concat()).wait(PATIENCE)
}

fn folder_of(root: &Path, name: &str, rows: u64, kinds: &[(&str, f64)]) -> std::path::PathBuf {
    let folder = root.join(name);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("train.csv"), table(rows, 1, kinds)).unwrap();
    fs::write(folder.join("test.csv"), table(200, 2, kinds)).unwrap();
    folder
}

/// Classes are found by their names, columns mean what they meant, and what is new is learnt beside what is known.
#[test]
fn a_model_goes_on_with_its_classes_and_columns_on_other_data() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let first = folder_of(root.path(), "first", 600, &[("oak", 2.0), ("fir", 4.0), ("yew", 6.0)]);
    let model = root.path().join("model");
    train(&first, &model, &[]).expect_code(0);

    // Without `fir`, with `ash`, which would come first by name.
    let second = folder_of(root.path(), "second", 300, &[("yew", 6.0), ("ash", 8.0), ("oak", 2.0)]);
    let (initial, further) = (model.to_str().unwrap(), root.path().join("further"));
    // Hardly any training: what it knows it knows from before.
    let options = ["--initial-model", initial, "--passes", "1", "--lr", "0.000001"];
    let finished = train(&second, &further, &options);
    finished.expect_code(0).expect_stderr(&[
        "the columns of a table are what they were for the initial model",
        "kind: label, 4 classes: `fir`, `oak`, `yew`, `ash`",
        "1 classes are new to the initial model",
    ]);
    // Two of the three kinds are as they were.
    let accuracy = finished.metric("final_test_accuracy").unwrap();
    assert!((0.55..0.75).contains(&accuracy), "{accuracy}");
    let learnt = train(&second, &further, &["--initial-model", initial]);
    assert!(learnt.metric("final_test_accuracy").unwrap() > 0.97, "{}", learnt.stdout);
}

#[test]
fn a_model_does_not_go_on_with_what_it_was_not_made_for() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let kinds = [("oak", 2.0), ("fir", 4.0)];
    let first = folder_of(root.path(), "first", 300, &kinds);
    let model = root.path().join("model");
    train(&first, &model, &["--passes", "1"]).expect_code(0);
    let (initial, out) = (model.to_str().unwrap(), root.path().join("out"));
    let wider = folder_of(root.path(), "wider", 300, &[("oak", 3.0), ("fir", 9.0)]);
    for (options, expected) in [
        (
            // The label is what the model's schema says, the rest is learnt anew.
            &["--label", "kind", "--ignore", "width"][..],
            "its table makes other inputs than that of the data (the model has 2 input columns, the data 1)",
        ),
        (&["--label", "width"], "it is for classification, and the data are for regression"),
    ] {
        let options = [&["--initial-model", initial][..], options].concat();
        train(&wider, &out, &options).expect_code(1).expect_stderr(&[expected]);
    }
    // The weights alone.
    let file = format!("{initial}/model.safetensors");
    let alone = ["--initial-model", &file, "--label", "kind", "--passes", "1"];
    train(&wider, &out, &alone).expect_code(0);
    // Found by review: a folder without a schema was used for a table without a word.
    fs::remove_file(model.join("schema.json")).unwrap();
    train(&wider, &out, &["--initial-model", initial, "--label", "kind", "--passes", "1"])
        .expect_code(0)
        .expect_stderr(&["there is no schema.json beside its weights"]);
}
