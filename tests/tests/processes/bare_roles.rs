//! Models that processes leave which somebody started by hand, without psrun: they can be used as those of its jobs.

use ps_tests::process::{Process, alone, job_id, psrun};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Longer than any of these jobs takes on two slow cores.
const PATIENCE: Duration = Duration::from_secs(90);
const START: Duration = Duration::from_secs(30);

/// A table whose label is told by its text and its number.
fn table(folder: &Path) {
    for (file, rows) in [("train.csv", 200), ("test.csv", 50)] {
        let mut text = "size,colour,kind\n".to_owned();
        for row in 0..rows {
            let kind = row % 2;
            let colour = ["red", "blue"][kind];
            writeln!(text, "{},{colour},{}", row % 7 + 10 * kind, ["ash", "oak"][kind]).unwrap();
        }
        fs::write(folder.join(file), text).unwrap();
    }
}

/// What follows these words on standard output.
fn said(process: &Process, words: &str) -> String {
    process.wait_for_stdout(words, START);
    let text = process.stdout();
    text.split_once(words).unwrap().1.split(';').next().unwrap().to_owned()
}

/// `psrun evaluate` and `psrun predict` use the model.
fn expect_usable(model: &Path, data: &Path) {
    let test = data.join("test.csv");
    let run = |command: &str| {
        let mut run = Command::new(psrun());
        run.arg(command).arg("--model").arg(model).arg("--data").arg(&test);
        let output = run.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{command}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    };
    let measured = run("evaluate");
    assert!(measured.contains("test_accuracy=1.0000; test_samples=50;"), "{measured}");
    let predicted = run("predict");
    assert_eq!(predicted.lines().next(), Some("prediction,p_ash,p_oak"));
    assert_eq!(predicted.lines().nth(2).map(|line| &line[..4]), Some("oak,"));
}

/// Found by newcomers: the folder had weights alone, and nobody knew what they were of.
#[test]
fn regression_a_worker_alone_leaves_a_model_that_can_be_used() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let (data, out, job) = (folder.path(), folder.path().join("out"), job_id("alone"));
    table(data);
    fs::create_dir(&out).unwrap();
    fs::write(out.join("schema.json"), "of an earlier model").unwrap();
    let server = Process::start(&job, &["ps-server", "--shard=0", "--listen=127.0.0.1:0"]);
    let address = said(&server, "listening=");
    let places = [data, &out].map(|path| path.to_str().unwrap());
    let [data_at, out_at] = places;
    let args = ["ps-worker", "--ps", &address, "--passes=20", "--data", data_at, "--out", out_at];
    Process::start(&job, &args).wait(PATIENCE).expect_code(0);
    expect_usable(&out, data);
}

/// A master runs no model code: what it was not told it hears from the members.
#[test]
fn regression_a_master_that_was_told_no_model_leaves_one_that_can_be_used() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let (data, out, job) = (folder.path(), folder.path().join("out"), job_id("untold"));
    table(data);
    let [data_at, out_at] = [data, &out].map(|path| path.to_str().unwrap());
    let args = ["ps-master", "--listen=127.0.0.1:0", "--servers=1", "--workers=1", "--passes=20"];
    let mut master = Process::start(&job, &[&args[..], &["--out", out_at]].concat());
    let address = said(&master, "listening=");
    let server = ["ps-server", "--shard=0", "--listen=127.0.0.1:0", "--master", &address];
    let _server = Process::start(&job, &server);
    let worker = ["ps-worker", "--master", &address, "--data", data_at, "--hidden=16"];
    let _worker = Process::start(&job, &worker);
    master.wait(PATIENCE).expect_code(0);
    let config = fs::read_to_string(out.join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!((&config["model"], &config["options"]["hidden"]), (&"mlp".into(), &"16".into()));
    expect_usable(&out, data);
}

/// Found by review: worker 0 wrote the model when it was done itself, whatever the others still had to push.
#[test]
fn regression_the_model_is_written_when_all_workers_are_done() {
    let _alone = alone();
    let (folder, job) = (tempfile::tempdir().unwrap(), job_id("together"));
    let out = folder.path().join("out");
    let server = Process::start(&job, &["ps-server", "--shard=0", "--listen=127.0.0.1:0"]);
    let address = said(&server, "listening=");
    let base = ["ps-worker", "--ps", &address, "--workers=2", "--out", out.to_str().unwrap()];
    let start = |own: &[&str]| Process::start(&job, &[&base[..], own].concat());
    let mut other = start(&["--worker-index=1", "--passes=60"]);
    other.wait_for_stdout("pass=1;", START);
    let mut first = start(&["--worker-index=0", "--passes=2"]);
    first.wait_for_stderr("the model is written when the other workers are done", PATIENCE);
    assert!(!out.join("model.safetensors").exists(), "it was written before the other was done");
    other.wait(PATIENCE).expect_code(0);
    let end = first.wait(START);
    end.expect_code(0);
    // Of sixty passes, not of two.
    assert!(end.metric("final_test_accuracy").unwrap() > 0.9, "{}", end.stdout);
    assert!(out.join("model.safetensors").exists());
}

/// A name may have no other address than one of IPv6.
#[test]
fn names_of_ipv6_alone_are_reached() {
    let _alone = alone();
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("there is no IPv6 here: skipped");
        return;
    }
    let (folder, job) = (tempfile::tempdir().unwrap(), job_id("ipv6"));
    let server = Process::start(&job, &["ps-server", "--shard=0", "--listen=[::1]:0"]);
    let address = said(&server, "listening=");
    let port = address.rsplit_once(':').unwrap().1;
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "::1 only-six\n").unwrap();
    let (hosts, out) = (hosts.to_str().unwrap(), folder.path().join("out"));
    // Names are looked up in our own file, which takes a view of the files that nobody else has.
    let ours = ["-r", "-m", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\"", hosts];
    let found = Command::new("unshare").args(ours).args(["getent", "hosts", "only-six"]).output();
    let may = found.is_ok_and(|found| String::from_utf8_lossy(&found.stdout).contains("::1"));
    let name = if may { "only-six" } else { "[::1]" };
    let at = format!("{name}:{port}");
    let worker = ["ps-worker", "--ps", &at, "--passes=1", "--out", out.to_str().unwrap()];
    let mut process = match may {
        true => {
            let args = [&ours[..], &[psrun().to_str().unwrap()], &worker].concat();
            Process::start_program(Path::new("unshare"), &job, &args, &[])
        }
        // Not every system lets us.
        false => Process::start(&job, &worker),
    };
    process.wait(PATIENCE).expect_code(0);
}

/// A run that explodes in a few steps has a model without a finite loss.
#[test]
fn regression_a_worker_alone_whose_model_has_no_finite_loss_fails() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let (out, job) = (folder.path().join("out"), job_id("explodes"));
    let server = Process::start(&job, &["ps-server", "--shard=0", "--listen=127.0.0.1:0"]);
    let address = said(&server, "listening=");
    let args = ["ps-worker", "--ps", &address, "--passes=1", "--optimizer=sgd", "--lr=1e18"];
    let schedule = ["--batch-size=256", "--schedule=constant", "--out", out.to_str().unwrap()];
    let end = Process::start(&job, &[&args[..], &schedule].concat()).wait(PATIENCE);
    end.expect_code(1);
    let last = end.stderr.lines().last().unwrap();
    assert!(last.contains("test loss of the model that was written is NaN or infinite"), "{last}");
    assert!(out.join("model.safetensors").exists());
}
