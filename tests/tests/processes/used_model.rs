//! Models that were trained on a table, in use: from the folder that a job leaves alone.

use ps_core::digits::digits;
use ps_tests::draws::draws;
use ps_tests::process::{Finished, Process, alone, job_id, psrun};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Longer than any of these jobs takes on two slow cores.
const PATIENCE: Duration = Duration::from_secs(90);

/// Lines of a table: three numbers, two of them telling, one text, what it is called, and which of three kinds it is.
fn table(rows: u64, seed: u64) -> String {
    let mut text = "id,width,colour,height,noise,kind\n".to_owned();
    let mut draw = draws(seed);
    for row in 0..rows {
        let kind = (draw() * 3.0) as usize;
        let width = [5.0, 7.0, 9.0][kind] + draw();
        let height =
            if row % 10 == 3 { "NA".to_owned() } else { (20.0 - width + draw()).to_string() };
        let colour = if draw() < 0.8 { ["red", "green, dark", "blue"][kind] } else { "red" };
        let noise = draw();
        let kind = ["ash", "birch", "oak"][kind];
        writeln!(text, "tree {row},{width},\"{colour}\",{height},{noise},{kind}").unwrap();
    }
    text
}

/// A folder with a training and a test set, and the model that a job made of them.
struct Trained {
    _folder: tempfile::TempDir,
    data: PathBuf,
    model: PathBuf,
    finished: Finished,
}

fn trained() -> Trained {
    let folder = tempfile::tempdir().unwrap();
    let (data, model) = (folder.path().join("data"), folder.path().join("model"));
    fs::create_dir(&data).unwrap();
    fs::write(data.join("train.csv"), table(400, 1)).unwrap();
    fs::write(data.join("test.csv"), table(200, 2)).unwrap();
    let [from, to] = [&data, &model].map(|path| path.to_str().unwrap());
    let args = [
        "local",
        "--instances",
        "3",
        "--passes",
        "10",
        "--ignore",
        "id",
        "--data",
        from,
        "--out",
        to,
    ];
    let mut job = Process::start(&job_id("used-model"), &args);
    let finished = job.wait(PATIENCE);
    finished.expect_code(0);
    Trained { _folder: folder, data, model, finished }
}

impl Trained {
    fn psrun(&self, command: &str, data: &Path, more: &[&str]) -> Output {
        let mut psrun = Command::new(psrun());
        psrun.args([command, "--model"]).arg(&self.model).arg("--data").arg(data).args(more);
        psrun.output().unwrap()
    }

    /// The predictions for a table, by what each sample is called.
    fn predictions(&self, data: &Path) -> HashMap<String, String> {
        let output = self.psrun("predict", data, &[]);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("id,prediction,p_ash,p_birch,p_oak"));
        let cells = lines.map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        cells.map(|cells| (cells[0].clone(), cells[1].clone())).collect()
    }
}

/// Modelled on takuseno/d3rlpy#258: whoever has trained a model wants to use it.
#[test]
fn regression_a_model_of_a_table_predicts_and_measures_as_its_job_did() {
    let _alone = alone();
    let trained = trained();
    let accuracy = trained.finished.metric("final_test_accuracy").unwrap();
    let loss = trained.finished.metric("final_test_loss").unwrap();
    assert!(accuracy > 0.9, "{}", trained.finished.stdout);
    let output = trained.psrun("evaluate", &trained.data, &[]);
    let measured = String::from_utf8(output.stdout).unwrap();
    let expected = format!(
        "test_loss={}; test_accuracy={}; test_samples=200; ",
        digits(loss),
        digits(accuracy)
    );
    assert!(measured.starts_with(&expected), "{measured}, {:?}", output.stderr);
    for name in ["balanced_accuracy", "f1", "calibration_error"] {
        let value = trained.finished.metric(&format!("final_test_{name}")).unwrap();
        assert!(
            measured.contains(&format!(" test_{name}={};", digits(value))),
            "{name}: {measured}"
        );
    }

    let test = trained.data.join("test.csv");
    let predicted = trained.predictions(&test);
    let text = fs::read_to_string(&test).unwrap();
    let right = text.lines().skip(1).filter(|line| {
        let (id, kind) = (line.split(',').next().unwrap(), line.rsplit(',').next().unwrap());
        predicted[id] == kind
    });
    assert_eq!(right.count() as f64 / 200.0, (accuracy * 200.0).round() / 200.0);

    // Without labels and with the columns in another order, and as JSON.
    let moved = trained.data.join("moved.csv");
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            let at = line.match_indices(',').map(|(at, _)| at).collect::<Vec<_>>();
            let (id, last) = (&line[..at[0]], at.len() - 1);
            format!("{},{id}", &line[at[0] + 1..at[last]])
        })
        .collect();
    fs::write(&moved, lines.join("\r\n")).unwrap();
    assert_eq!(trained.predictions(&moved), predicted);
    let out = trained.data.join("out.jsonl");
    let told =
        trained.psrun("predict", &moved, &["--out", out.to_str().unwrap(), "--keep", "width"]);
    assert!(told.status.success(), "{told:?}");
    let first: serde_json::Value =
        serde_json::from_str(fs::read_to_string(&out).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!(first["prediction"], predicted["tree 0"].as_str(), "{first}");
    assert!(first["width"].is_string() && first["probabilities"]["oak"].is_number(), "{first}");

    // A column that training has never seen, wherever it is.
    let more = trained.data.join("more.csv");
    let lines = text.lines().enumerate().map(|(at, line)| match at {
        0 => format!("batch,{line}"),
        at => format!("no {at},{line}"),
    });
    fs::write(&more, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let told = trained.psrun("predict", &more, &["--keep", "batch"]);
    let rows = String::from_utf8(told.stdout).unwrap();
    assert!(rows.starts_with("id,batch,prediction,p_ash"), "{rows}, {:?}", told.stderr);
    assert!(rows.contains("\ntree 1,no 2,"), "{rows}");
    let told = trained.psrun("predict", &more, &["--keep", "colour,owner"]);
    let stderr = String::from_utf8(told.stderr).unwrap();
    assert!(stderr.contains("no column is named `owner`; its header is: batch, id, "), "{stderr}");
}

#[test]
fn what_cannot_be_predicted_is_named() {
    let _alone = alone();
    let trained = trained();
    let file = trained.data.join("other.csv");
    for (text, parts) in [
        ("width,colour,height,kind\n1,red,2,oak\n", &["other.csv", "no column named `noise`"][..]),
        (
            "id,width,colour,height,noise,kind\na,wide,red,1,2,oak\n",
            &["line 2, column 2 (`width`)", "`wide`"],
        ),
        ("a,1,red\n", &["other.csv, line 1", "3 columns, expected 6"]),
    ] {
        fs::write(&file, text).unwrap();
        let output = trained.psrun("predict", &file, &[]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        parts.iter().for_each(|part| assert!(stderr.contains(part), "{part}: {stderr}"));
    }
    fs::write(trained.model.join("schema.json"), "{}").unwrap();
    let output = trained.psrun("evaluate", &trained.data, &[]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("schema.json: not as expected"));
    fs::remove_file(trained.model.join("config.json")).unwrap();
    let output = trained.psrun("evaluate", &trained.data, &[]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("a model's folder has"));
}

/// UCI Adult as it comes: no option but the model's folder says what its columns are.
#[test]
fn the_census_is_understood_as_it_comes() {
    let _alone = alone();
    let Some(data) = std::env::var_os("PS_TEST_DATA").map(PathBuf::from) else {
        eprintln!("PS_TEST_DATA is not set: skipped");
        return;
    };
    let adult = data.join("adult");
    let mut command = Command::new(psrun());
    command.arg("data").arg(adult.join("adult.data")).arg("--test").arg(adult.join("adult.test"));
    let shown = command.output().unwrap();
    let metrics = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(
        metrics,
        "train_samples=32561; test_samples=16281; inputs=108; looked_up=0; task=classification; outputs=2;\n"
    );
    let people = String::from_utf8(shown.stderr).unwrap();
    for part in
        ["`<=50K`, `>50K`", "1836 missing", "Y: label, 2 classes", "age: number, mean 38.58"]
    {
        assert!(people.contains(part), "{part}: {people}");
    }
}

/// Found by a newcomer: `--out` with the name of the samples replaced them, a header was written before anything could be
/// predicted, missing columns were not named where most were missing, and `| head` ended in a panic.
#[test]
fn regression_predict_and_evaluate_leave_alone_what_is_not_theirs_to_write() {
    let _alone = alone();
    let trained = trained();
    let test = trained.data.join("test.csv");
    let before = fs::read(&test).unwrap();
    let output = trained.psrun("predict", &test, &["--out", test.to_str().unwrap()]);
    assert!(said(&output).contains("these are the samples"), "{output:?}");
    assert_eq!(fs::read(&test).unwrap(), before);

    let output = trained.psrun("predict", &trained.data.join("nowhere.csv"), &[]);
    assert!(said(&output).contains("no such file or folder") && output.stdout.is_empty());

    let few = trained.data.with_file_name("few.csv");
    fs::write(&few, "width,colour\n5.5,red\n").unwrap();
    let output = trained.psrun("predict", &few, &[]);
    assert!(said(&output).contains("no column named `height`, `noise`"), "{output:?}");
    assert!(output.stdout.is_empty());

    let [model, data] = [&trained.model, &trained.data].map(|path| path.to_str().unwrap());
    for words in
        [["evaluate", "--model", model, "--data", data], ["data", data, "--ignore", "id", "--json"]]
    {
        let mut command = Command::new(psrun());
        command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = command.spawn().unwrap();
        drop(running.stdout.take());
        let output = running.wait_with_output().unwrap();
        assert!(output.status.success() && !said(&output).contains("panicked"), "{output:?}");
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
