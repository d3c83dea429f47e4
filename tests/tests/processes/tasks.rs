//! Jobs whose labels are numbers, or several, and their models in use.

use ps_core::digits::digits;
use ps_tests::draws::draws;
use ps_tests::process::{Finished, Process, alone, job_id, psrun};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// Longer than any of these jobs takes on two slow cores.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the prices are around, and apart by: a model that learnt them unscaled would learn nothing.
const PRICE: (f64, f64) = (250_000.0, 20_000.0);

/// Lines of a table: a price that two columns tell, with some noise; whether it is large and whether it is red, which is rare.
fn table(rows: u64, seed: u64) -> String {
    let mut text = "size,rooms,price,large,red\n".to_owned();
    let mut draw = draws(seed);
    for _ in 0..rows {
        let (size, rooms) = (draw(), draw());
        let price = PRICE.0 + PRICE.1 * (size + rooms * rooms) + PRICE.1 / 20.0 * (draw() - 0.5);
        let large = if size + 0.05 * (draw() - 0.5) > 0.5 { "yes" } else { "no" };
        let red = i32::from(size > 0.8 && rooms > 0.5);
        writeln!(text, "{size:.4},{rooms:.4},{price:.2},{large},{red}").unwrap();
    }
    text
}

struct Job {
    folder: tempfile::TempDir,
    finished: Finished,
}

impl Job {
    /// Runs a job on the table with these options.
    fn run(name: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("train.csv"), table(600, 1)).unwrap();
        fs::write(data.join("test.csv"), table(300, 2)).unwrap();
        let [from, to] =
            [data, folder.path().join("model")].map(|it| it.to_str().unwrap().to_owned());
        let args = ["local", "--instances", "3", "--data", &from, "--out", &to];
        let finished = Process::start(&job_id(name), &[&args[..], options].concat()).wait(PATIENCE);
        Self { folder, finished }
    }

    fn psrun(&self, command: &str, data: &Path) -> Output {
        let mut psrun = Command::new(psrun());
        psrun
            .args([command, "--model"])
            .arg(self.folder.path().join("model"))
            .arg("--data")
            .arg(data);
        psrun.output().unwrap()
    }

    /// That `psrun evaluate` finds what the job found.
    fn expect_measures(&self, names: &[&str]) {
        let output = self.psrun("evaluate", &self.folder.path().join("data"));
        let measured = String::from_utf8(output.stdout).unwrap();
        for name in names {
            let value = self.finished.metric(&format!("final_test_{name}")).unwrap();
            assert!(
                measured.contains(&format!("test_{name}={};", digits(value))),
                "{name}={value}: {measured}, {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }

    /// The predictions for the test file, as lines of CSV without their header, which must be this.
    fn predictions(&self, header: &str) -> Vec<String> {
        let output = self.psrun("predict", &self.folder.path().join("data/test.csv"));
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines = text.lines().map(str::to_owned);
        assert_eq!(lines.next().as_deref(), Some(header));
        lines.collect()
    }

    /// The columns of the test file.
    fn test_rows() -> Vec<Vec<String>> {
        let rows = table(300, 2);
        rows.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
    }
}

#[test]
fn a_price_is_learnt_measured_and_predicted_in_its_own_units() {
    let _alone = alone();
    let job = Job::run("price", &["--label", "price", "--ignore", "large,red"]);
    job.finished.expect_code(0);
    // The noise has a deviation of 289, the prices one of 8,300.
    let rmse = job.finished.metric("final_test_rmse").unwrap();
    assert!(rmse < 900.0, "{}", job.finished.stdout);
    assert!(job.finished.metric("final_test_r2").unwrap() > 0.98);
    assert_eq!(job.finished.metric("final_test_accuracy"), None);
    job.expect_measures(&["loss", "rmse", "mae", "r2"]);
    let predicted = job.predictions("large,red,prediction");
    let errors = predicted.iter().zip(Job::test_rows()).map(|(line, row)| {
        let price: f64 = row[2].parse().unwrap();
        line.rsplit(',').next().unwrap().parse::<f64>().unwrap() - price
    });
    let squares: Vec<f64> = errors.map(|error| error * error).collect();
    let found = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
    assert!((found - rmse).abs() < 0.5, "{found} {rmse}: predictions are what was measured");
}

#[test]
fn outliers_count_less_in_the_absolute_loss() {
    let _alone = alone();
    let options =
        ["--label", "price", "--ignore", "large,red", "--loss", "huber", "--huber-delta", "0.5"];
    let job = Job::run("huber", &options);
    job.finished.expect_code(0);
    assert!(job.finished.metric("final_test_r2").unwrap() > 0.95, "{}", job.finished.stdout);
    // The loss is the job's, too, when the model is used.
    job.expect_measures(&["loss", "mae"]);
}

#[test]
fn several_labels_are_told_at_once() {
    let _alone = alone();
    let job = Job::run(
        "labels",
        &["--label", "large,red", "--ignore", "price", "--class-weights", "balanced"],
    );
    job.finished.expect_code(0);
    assert!(
        job.finished.metric("final_test_label_accuracy").unwrap() > 0.9,
        "{}",
        job.finished.stdout
    );
    assert!(job.finished.metric("final_test_auc").unwrap() > 0.95);
    job.expect_measures(&["label_accuracy", "exact_match", "f1", "auc", "log_loss"]);
    let predicted = job.predictions("price,prediction,p_large,p_red");
    let row = |(line, row): &(&String, Vec<String>)| {
        let said = line.split(',').nth(1).unwrap();
        said.contains("large") == (row[3] == "yes") && said.contains("red") == (row[4] == "1")
    };
    let rows = Job::test_rows();
    let right = predicted.iter().zip(rows).filter(|it| row(it)).count() as f64 / 300.0;
    let exact = job.finished.metric("final_test_exact_match").unwrap();
    assert!((right - exact).abs() < 1e-3, "{right} {exact}");
}

#[test]
fn several_numbers_are_told_at_once() {
    let _alone = alone();
    let job = Job::run("numbers", &["--label", "price,size", "--ignore", "large,red"]);
    job.finished.expect_code(0);
    job.expect_measures(&["rmse", "mae", "r2"]);
    assert_eq!(job.predictions("large,red,prediction_size,prediction_price").len(), 300);
}

#[test]
fn what_cannot_be_is_refused_before_the_job_begins() {
    let _alone = alone();
    for (options, words) in [
        (&["--label", "price", "--task", "binary"][..], "two classes"),
        (&["--label", "price", "--loss", "softmax"], "whose losses are squared, absolute, huber"),
        (&["--label", "price", "--class-weights", "balanced"], "numbers have no classes"),
        (&["--label", "large", "--class-weights", "maybe=2"], "`maybe` is none of no, yes"),
        (&["--label", "large,price"], "several label columns"),
        (&["--task", "regression", "--label-kind", "class"], "contradict"),
    ] {
        let job = Job::run("refused", options);
        assert!(!job.finished.status.success(), "{options:?}");
        assert!(job.finished.stderr.contains(words), "{options:?}: {}", job.finished.stderr);
    }
}
