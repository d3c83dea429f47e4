//! Columns with more categories than can be inputs: models look them up, in training and in use.

use ps_tests::draws::draws;
use ps_tests::process::{Finished, Process, alone, job_id, psrun};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// Longer than any of these jobs takes on two slow cores.
const PATIENCE: Duration = Duration::from_secs(90);

/// More than are an input each.
const SHOPS: u32 = 300;

/// Lines of a table: whether something is sold depends on the shop above all, and a little on the price.
fn table(rows: u64, seed: u64) -> String {
    let mut text = "shop,price,sold\n".to_owned();
    let mut draw = draws(seed);
    for _ in 0..rows {
        let shop = (draw() * f64::from(SHOPS)) as u32;
        let (price, noise) = (draw(), 0.3 * draw());
        let sells = shop.wrapping_mul(2_654_435_761) >> 31 == 1;
        let sold = if price + noise < if sells { 1.1 } else { 0.2 } { "yes" } else { "no" };
        writeln!(text, "shop {shop},{price:.3},{sold}").unwrap();
    }
    text
}

struct Tables {
    _folder: tempfile::TempDir,
    data: PathBuf,
    model: PathBuf,
}

fn tables() -> Tables {
    let folder = tempfile::tempdir().unwrap();
    let (data, model) = (folder.path().join("data"), folder.path().join("model"));
    fs::create_dir(&data).unwrap();
    fs::write(data.join("train.csv"), table(6_000, 1)).unwrap();
    fs::write(data.join("test.csv"), table(1_000, 2)).unwrap();
    Tables { _folder: folder, data, model }
}

impl Tables {
    fn train(&self, more: &[&str]) -> Finished {
        let [from, to] = [&self.data, &self.model].map(|path| path.to_str().unwrap());
        let args = ["local", "--instances", "3", "--passes", "6", "--data", from, "--out", to];
        Process::start(&job_id("looked-up"), &[&args[..], more].concat()).wait(PATIENCE)
    }

    fn psrun(&self, command: &str, data: &Path) -> Output {
        let mut psrun = Command::new(psrun());
        psrun.args([command, "--model"]).arg(&self.model).arg("--data").arg(data);
        psrun.output().unwrap()
    }
}

#[test]
fn many_categories_are_looked_up_and_the_model_predicts_as_it_was_measured() {
    let _alone = alone();
    for model in ["mlp", "linear", "wide-deep"] {
        let tables = tables();
        let finished = tables.train(&["--model", model]);
        finished.expect_code(0).expect_stderr(&[
            "3 columns: 1 inputs and 1 looked up",
            "shop: looked up, 300 categories: `shop 0`, `shop 1`",
        ]);
        let accuracy = finished.metric("final_test_accuracy").unwrap();
        // The price alone gives 0.7.
        assert!(accuracy > 0.9, "{model}: {accuracy}");
        let measured = tables.psrun("evaluate", &tables.data);
        let measured = String::from_utf8(measured.stdout).unwrap();
        assert!(measured.contains(&format!(" test_accuracy={accuracy:.4};")), "{measured}");

        let test = tables.data.join("test.csv");
        let predicted = String::from_utf8(tables.psrun("predict", &test).stdout).unwrap();
        let text = fs::read_to_string(&test).unwrap();
        let right = text.lines().zip(predicted.lines()).skip(1).filter(|(line, predicted)| {
            line.rsplit(',').next().unwrap() == predicted.split(',').next().unwrap()
        });
        assert_eq!(right.count() as f64 / 1_000.0, accuracy, "{model}");
    }
}

#[test]
fn a_shop_that_training_never_had_is_told_and_predicted() {
    let _alone = alone();
    let tables = tables();
    tables.train(&[]).expect_code(0);
    let new = tables.data.join("new.csv");
    fs::write(&new, "shop,price\nshop 7,0.5\nnowhere,0.5\n,0.5\n").unwrap();
    let output = tables.psrun("predict", &new);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 4);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("column `shop`: 1 of 3 texts, such as `nowhere`"), "{told}");
}

/// Found by trying to break it: a job went on from a checkpoint of other categories, and a model was used with another's.
#[test]
fn regression_other_categories_are_neither_gone_on_with_nor_predicted_by() {
    let _alone = alone();
    let tables = tables();
    let checkpoints = tables.data.with_file_name("checkpoints");
    let options = ["--checkpoints", checkpoints.to_str().unwrap()];
    tables.train(&options).expect_code(0);
    let schema = tables.model.join("schema.json");
    let text = fs::read_to_string(&schema).unwrap();
    fs::write(&schema, text.replace("\"shop 7\"", "\"shop 7 b\"")).unwrap();
    let output = tables.psrun("evaluate", &tables.data);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("not the one that the model"), "{told}");

    let train = tables.data.join("train.csv");
    let text = fs::read_to_string(&train).unwrap();
    fs::write(&train, text.replace("shop 7,", "shop 7 b,")).unwrap();
    let refused = tables.train(&options);
    assert_ne!(refused.status.code(), Some(0), "{}", refused.stderr);
    refused.expect_stderr(&["table "]);
}

#[test]
fn who_looks_up_is_said_and_who_cannot_is_refused() {
    let _alone = alone();
    let tables = tables();
    for (more, expected) in [
        (&["--embed", "none"][..], "300 categories, such as `shop 0`"),
        (&["--embed", "town"], "no column is named `town`"),
        (&["--embed", "shop", "--model", "lenet"], "--embed shop: this model looks nothing up"),
    ] {
        tables.train(more).expect_code(1).expect_stderr(&[expected]);
    }
    // A number that is a name.
    let all = ["--embed", "price", "--ignore", "shop"];
    tables.train(&all).expect_code(0).expect_stderr(&["price: looked up,"]);
}

/// What was understood of such a table did not fit into the request by which a member registers, and every job on it failed.
#[test]
fn regression_more_categories_than_a_message_has_room_for() {
    let _alone = alone();
    let tables = tables();
    let mut text = "customer,price,sold\n".to_owned();
    for row in 0..18_000_u32 {
        let customer = row % 6_000;
        let sold = if customer % 2 == 0 { "yes" } else { "no" };
        writeln!(text, "customer {customer} of a long street,{},{sold}", row % 7).unwrap();
    }
    fs::write(tables.data.join("train.csv"), &text).unwrap();
    let cut = text[..100_000].rfind('\n').unwrap();
    fs::write(tables.data.join("test.csv"), &text[..=cut]).unwrap();
    let finished = tables.train(&[]);
    finished.expect_code(0).expect_stderr(&["customer: looked up, 6000 categories"]);
    let accuracy = finished.metric("final_test_accuracy").unwrap();
    let measured = tables.psrun("evaluate", &tables.data);
    let measured = String::from_utf8(measured.stdout).unwrap();
    assert!(measured.contains(&format!(" test_accuracy={accuracy:.4};")), "{measured}");
}
