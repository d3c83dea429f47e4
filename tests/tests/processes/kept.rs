//! Which weights a job writes: the best of its evaluations, also after a restart; and when it ends early.

use ps_tests::draws::draws;
use ps_tests::process::{Finished, Process, alone, job_id, metrics, processes, psrun, signal};
use rustix::process::Signal;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Longer than any of these jobs takes on two slow cores.
const PATIENCE: Duration = Duration::from_secs(120);

/// A model that learns its few training samples by heart: soon it is worse on all others.
const OVERFITTING: [&str; 13] = [
    "local",
    "--instances",
    "2",
    "--batch-size",
    "16",
    "--optimizer",
    "adam",
    "--lr",
    "0.01",
    "--model-option",
    // L2 would keep it from that.
    "linear-path=false",
    "--hidden",
    "64,64",
];

/// A loss that the validation set has only long after the best one, which is about 0.7.
const OVERFITTED: &str = "validation_loss=2.";

/// Lines of a table in which a fourth of the labels is wrong.
fn table(rows: u64, seed: u64) -> String {
    let mut text = "a,b,c,d,e,f,label\n".to_owned();
    let mut draw = draws(seed);
    for _ in 0..rows {
        let values: Vec<f64> = (0..6).map(|_| 2.0 * draw() - 1.0).collect();
        let is_so = (values[0] + 0.5 * values[1] > 0.0) != (draw() < 0.25);
        values.iter().for_each(|value| write!(text, "{value:.4},").unwrap());
        writeln!(text, "{}", if is_so { "yes" } else { "no" }).unwrap();
    }
    text
}

/// A folder with the three sets, and room for what a job writes.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        for (name, rows, seed) in [("train", 120, 1), ("valid", 200, 2), ("test", 200, 3)] {
            fs::write(data.join(format!("{name}.csv")), table(rows, seed)).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn start(&self, name: &str, options: &str) -> Process {
        self.start_as(&job_id(name), options)
    }

    fn start_as(&self, job: &str, options: &str) -> Process {
        let [data, out, kept] = ["data", "out", "kept"].map(|it| self.path(it));
        let options = options.replace("KEPT", kept.to_str().unwrap());
        let mut args: Vec<&str> = OVERFITTING.into();
        args.extend(["--data", data.to_str().unwrap(), "--out", out.to_str().unwrap()]);
        args.extend(options.split_whitespace());
        Process::start(job, &args)
    }

    fn report(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.path("out/report.json")).unwrap()).unwrap()
    }

    /// What `psrun evaluate` finds with the written model.
    fn evaluated(&self, name: &str) -> f64 {
        let (model, data) = (self.path("out"), self.path("data").join(name));
        let mut command = Command::new(psrun());
        command.args(["evaluate", "--model"]).arg(model).arg("--data").arg(data);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        metrics(&String::from_utf8(output.stdout).unwrap(), "test_loss")[0]
    }

    /// Nothing is left of what was kept on the way.
    fn expect_model_alone(&self) {
        let names = fs::read_dir(self.path("out")).unwrap();
        let names: Vec<String> =
            names.map(|it| it.unwrap().file_name().to_string_lossy().into_owned()).collect();
        assert!(!names.iter().any(|name| name.contains("best")), "{names:?}");
    }
}

/// The losses of a job's evaluations during training.
fn losses(stdout: &str) -> Vec<f64> {
    let lines = stdout.lines().filter(|line| !line.starts_with("final_"));
    lines.flat_map(|line| metrics(line, "validation_loss")).collect()
}

fn smallest(losses: &[f64]) -> f64 {
    losses.iter().copied().fold(f64::INFINITY, f64::min)
}

/// The model is that of the best evaluation, which is not the last one.
fn expect_best(place: &Place, end: &Finished) -> f64 {
    let (losses, last) = (losses(&end.stdout), end.metric("final_validation_loss").unwrap());
    assert_eq!(last, smallest(&losses), "{}", end.stdout);
    assert!(losses.last().unwrap() - last > 0.05, "the last is as good: {losses:?}");
    assert_eq!(place.evaluated("valid.csv"), last, "the written model is another");
    assert_eq!(place.evaluated("test.csv"), end.metric("final_test_loss").unwrap());
    place.expect_model_alone();
    last
}

#[test]
fn the_best_weights_are_written_and_measured_again() {
    let _alone = alone();
    let place = Place::new();
    let mut job = place.start("best", "--passes 60 --keep best");
    let end = job.wait(PATIENCE);
    end.expect_code(0);
    expect_best(&place, &end);
    let report = place.report();
    assert_eq!(report["final_metrics"]["weights_match"], true);
    assert_eq!(
        (&report["kept"]["set"], &report["kept"]["measure"]),
        (&"validation".into(), &"loss".into())
    );
    assert_eq!(report["passes"].as_array().unwrap().len(), 60, "it does not end early");
    let first = report["kept"]["job"].as_u64().unwrap();

    // Another job in the same folder, where one that was killed would have left its best.
    fs::copy(place.path("out/model.safetensors"), place.path("out/best.safetensors")).unwrap();
    let mut other = place.start("other", "--passes 1 --keep best");
    let end = other.wait(PATIENCE);
    end.expect_code(0);
    let report = place.report();
    assert!(report["kept"]["job"].as_u64().unwrap() > first);
    assert_eq!(report["kept"]["pass"], 1);
    assert_eq!(end.metric("final_validation_loss").unwrap(), smallest(&losses(&end.stdout)));
}

#[test]
fn without_the_option_the_last_weights_are_written() {
    let _alone = alone();
    let place = Place::new();
    let mut job = place.start("last", "--passes 60");
    let end = job.wait(PATIENCE);
    end.expect_code(0);
    let (losses, last) = (losses(&end.stdout), end.metric("final_validation_loss").unwrap());
    assert_eq!(last, *losses.last().unwrap(), "{}", end.stdout);
    assert!(last > smallest(&losses));
    assert!(place.report()["kept"].is_null());
}

#[test]
fn the_best_weights_survive_a_job_that_is_killed() {
    let _alone = alone();
    let place = Place::new();
    let options = "--passes 100000 --keep best --checkpoints KEPT";
    let id = job_id("killed");
    let mut job = place.start_as(&id, options);
    job.wait_for_stdout(OVERFITTED, PATIENCE);
    // Longer than the checkpoint of that time takes.
    std::thread::sleep(Duration::from_millis(500));
    let before = smallest(&losses(&job.stdout()));
    processes(&id).iter().for_each(|(pid, _)| signal(*pid, Signal::KILL));
    job.wait(Duration::from_secs(10));

    let mut again = place.start("killed", &format!("{options} --early-stop-after 3"));
    let end = again.wait(PATIENCE);
    end.expect_code(0);
    end.expect_stderr(&["resumed from checkpoint", "the best weights so far are there"]);
    let last = end.metric("final_validation_loss").unwrap();
    assert!(last <= before, "{last} after {before}: {}", end.stderr);
    assert_eq!(place.evaluated("valid.csv"), last);
    place.expect_model_alone();

    // And once more, into another folder.
    fs::remove_dir_all(place.path("out")).unwrap();
    let mut again = place.start("killed", &format!("{options} --early-stop-after 3"));
    let end = again.wait(PATIENCE);
    end.expect_code(0);
    assert_eq!(end.metric("final_validation_loss"), Some(last));
    assert_eq!(place.evaluated("valid.csv"), last);
}

#[test]
fn a_signal_saves_the_best_so_far() {
    let _alone = alone();
    let place = Place::new();
    let mut job = place.start("signalled", "--passes 100000 --keep best");
    job.wait_for_stdout(OVERFITTED, PATIENCE);
    signal(job.pid(), Signal::TERM);
    let end = job.wait(Duration::from_secs(15));
    end.expect_code(143);
    assert_eq!(place.evaluated("valid.csv"), smallest(&losses(&end.stdout)));
    end.expect_stderr(&["the model is the best: validation_loss"]);
}

#[test]
fn training_ends_when_nothing_better_comes() {
    let _alone = alone();
    let place = Place::new();
    let options = "--passes 100000 --keep best --keep-measure auc --early-stop-after 10";
    let mut job = place.start("early", options);
    let end = job.wait(PATIENCE);
    end.expect_code(0);
    end.expect_stderr(&["training ends early: no improvement in 10 evaluations in a row"]);
    let report = place.report();
    assert!(report["early_stop"].as_str().unwrap().contains("validation_auc"), "{report}");
    let evaluations = report["evaluations"].as_array().unwrap();
    let values = evaluations.iter().map(|it| it["scores"]["measures"]["auc"].as_f64().unwrap());
    let values: Vec<f64> = values.collect();
    let best = values.iter().copied().fold(0.0, f64::max);
    assert_eq!(report["kept"]["value"].as_f64(), Some(best));
    let at = values.iter().position(|value| *value == best).unwrap();
    assert_eq!(values.len() - 1 - at, 10, "{values:?}");
    assert!((end.metric("final_validation_auc").unwrap() - best).abs() < 5e-5);
}

#[test]
fn samples_are_held_out_and_evaluations_counted_in_steps() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let line = "local --passes 6 --validation-split 0.2 --evaluate-every 40 --out";
    let args: Vec<&str> = line.split_whitespace().chain([out.to_str().unwrap()]).collect();
    let mut job = Process::start(&job_id("split"), &args);
    let end = job.wait(PATIENCE);
    end.expect_code(0);
    let report: Value =
        serde_json::from_str(&fs::read_to_string(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["train_samples"], 1437 - 287);
    assert_eq!(report["final_metrics"]["validation"]["samples"], 287);
    assert_eq!(report["final_metrics"]["samples"], 360);
    let steps = metrics(&end.stdout, "step");
    assert!(!steps.is_empty() && steps.is_sorted() && steps[0] >= 40.0, "{}", end.stdout);
    assert!(end.metric("final_validation_accuracy").unwrap() > 0.8, "{}", end.stdout);
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let _alone = alone();
    let place = Place::new();
    let refused = |options: &str, code: i32, words: &[&str]| {
        let end = place.start("refused", options).wait(PATIENCE);
        end.expect_code(code).expect_stderr(words);
    };
    for share in ["0", "1", "1.5", "-0.1", "nan"] {
        let option = format!("--validation-split={share}");
        refused(&option, 64, &["--validation-split", "above 0 and below 1"]);
    }
    refused("--validation-split 0.1 --stream", 64, &["--validation-split with --stream"]);
    refused("--validation-split 0.1 -- true", 64, &["--validation-split 0.1 with a program"]);
    refused("--evaluate-every 5 -- true", 64, &["--evaluate-every 5 with a program"]);
    refused("--keep first", 64, &["last, best"]);
    refused("--early-stop-after 0", 64, &["--early-stop-after: found 0"]);
    let words = ["--keep-measure aucc", "loss, accuracy, balanced_accuracy, f1, auc"];
    refused("--keep best --keep-measure aucc", 1, &words);
    fs::remove_file(place.path("data/valid.csv")).unwrap();
    let mut warned = place.start("warned", "--passes 2 --keep best");
    warned.wait(PATIENCE).expect_code(0).expect_stderr(&["chosen by the test set"]);
    fs::remove_file(place.path("data/test.csv")).unwrap();
    refused("--keep best", 1, &["neither a validation set nor a test set"]);
}
