//! Real processes whose folders hold different samples, one of them none.

use ps_tests::digits::Digits;
use ps_tests::process::{Finished, Process, alone, job_id, signal};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Longer than any of these jobs takes on two slow cores.
const PATIENCE: Duration = Duration::from_secs(120);

/// A job of one server, three workers and an evaluator, each a process of its own.
struct Job {
    folder: TempDir,
    master: Process,
    server: Process,
    workers: Vec<Process>,
    evaluator: Process,
}

/// What a process listens on, from its first metric line.
fn address(process: &Process, name: &str) -> String {
    process.wait_for_stdout(name, Duration::from_secs(20));
    let stdout = process.stdout();
    let after = stdout.split(&format!("{name}=")).nth(1).unwrap();
    after.split(';').next().unwrap().to_owned()
}

/// Worker 0 has digits below 5 only, worker 1 nothing, worker 2 a third of all, the evaluator the
/// rest and the test set.
fn lay_out(root: &Path) -> [(PathBuf, usize); 4] {
    let (train, test) = (Digits::bundled(true), Digits::bundled(false));
    let is_low = |number: usize, label: u8| number.is_multiple_of(3) && label < 5;
    let low = train.only(is_low);
    let third = train.only(|number, _| number % 3 == 1);
    let rest = train.only(|number, label| number % 3 != 1 && !is_low(number, label));
    let folders = ["worker-0", "worker-1", "worker-2", "evaluator"].map(|name| root.join(name));
    let few = test.only(|_, label| label < 5);
    for (folder, train, test) in
        [(&folders[0], &low, &few), (&folders[2], &third, &few), (&folders[3], &rest, &test)]
    {
        std::fs::create_dir(folder).unwrap();
        train.write(folder, true).unwrap();
        test.write(folder, false).unwrap();
    }
    std::fs::create_dir(&folders[1]).unwrap();
    let [zero, one, two, three] = folders;
    [(zero, low.len()), (one, 0), (two, third.len()), (three, rest.len())]
}

impl Job {
    fn start(test: &str, passes: &str) -> (Self, [usize; 4]) {
        let folder = tempfile::tempdir().unwrap();
        let shares = lay_out(folder.path());
        let job = job_id(test);
        let out = folder.path().join("out");
        let leads = ["ps-master", "--listen=127.0.0.1:0", "--servers=1", "--workers=3"];
        let how = ["--lease-ms=3000", "--seed=1", "--lr=0.1", "--passes", passes];
        let out = ["--out", out.to_str().unwrap()];
        let master = Process::start(&job, &[&leads[..], &how, &out].concat());
        let leader = address(&master, "listening");
        let to = ["--master", leader.as_str()];
        let serve = ["ps-server", "--shard=0", "--listen=127.0.0.1:0"];
        let server = Process::start(&job, &[&serve[..], &to].concat());
        let work = |rank: usize| {
            let data = ["--sharded", "--data", shares[rank].0.to_str().unwrap()];
            let index = format!("--worker-index={rank}");
            Process::start(&job, &[&["ps-worker", index.as_str()][..], &to, &data].concat())
        };
        let workers = (0..3).map(work).collect();
        let data = ["--sharded", "--data", shares[3].0.to_str().unwrap()];
        let measure = ["ps-worker", "--role=evaluator", "--serve-samples=127.0.0.1:0"];
        let evaluator = Process::start(&job, &[&measure[..], &to, &data].concat());
        let counts = shares.map(|(_, samples)| samples);
        (Self { folder, master, server, workers, evaluator }, counts)
    }

    fn end(&mut self) -> (Finished, serde_json::Value) {
        let end = self.master.wait(PATIENCE);
        let report = std::fs::read(self.folder.path().join("out/report.json")).unwrap_or_default();
        (end, serde_json::from_slice(&report).unwrap_or_default())
    }
}

#[test]
fn a_model_learns_from_shares_of_any_size() {
    let _alone = alone();
    let (mut job, shares) = Job::start("shares", "12");
    let (end, report) = job.end();
    end.expect_code(0);
    for worker in &mut job.workers {
        worker.wait(PATIENCE).expect_code(0);
    }
    job.evaluator.wait(PATIENCE).expect_code(0);
    job.server.wait(PATIENCE).expect_code(0);
    let samples: usize = shares.iter().sum();
    assert_eq!((samples, shares[1]), (Digits::bundled(true).len(), 0));
    assert_eq!(report["train_samples"], samples);
    assert_eq!(report["samples_skipped"], 0);
    // Labels from 5 on are known to one worker and the evaluator only.
    let accuracy = end.metric("final_test_accuracy").unwrap();
    assert!(accuracy > 0.9, "{accuracy}\n{}", end.stdout);
    let trained = |rank: &str| report["workers"][rank]["counters"]["samples"].as_u64().unwrap();
    let sum = trained("0") + trained("1") + trained("2");
    assert_eq!(sum, 12 * samples as u64, "{report:#}");
    assert!(trained("1") > 0, "who has nothing trains on what the evaluator serves");
}

#[test]
fn a_killed_workers_rest_is_skipped_and_said() {
    let _alone = alone();
    let (mut job, shares) = Job::start("share-lost", "60");
    job.master.wait_for_stdout("pass=2;", PATIENCE);
    signal(job.workers[2].pid(), Signal::KILL);
    let (end, report) = job.end();
    end.expect_code(0).expect_stderr(&["worker 2", "samples were skipped"]);
    let lost = report["samples_skipped"].as_u64().unwrap();
    assert!(lost > 0 && lost < 60 * shares[2] as u64, "{lost}");
    assert_eq!(report["skipped"][0]["member"], "worker 2");
    assert_eq!(report["passes"].as_array().unwrap().len(), 60);
}

#[test]
fn data_that_do_not_go_together_are_refused() {
    let _alone = alone();
    let (job, _) = Job::start("share-other", "600");
    job.master.wait_for_stdout("pass=1;", PATIENCE);
    job.workers[0].wait_for_stderr("registered", PATIENCE);
    signal(job.workers[0].pid(), Signal::KILL);
    // Its place is taken by a process with other samples.
    let leader = address(&job.master, "listening");
    let data = job.folder.path().join("evaluator");
    let other = ["ps-worker", "--worker-index=0", "--sharded", "--master", leader.as_str()];
    let args = [&other[..], &["--data", data.to_str().unwrap()]].concat();
    let id = job_of(&job.master);
    let mut process = Process::start(&id, &args);
    let end = process.wait(PATIENCE);
    end.expect_code(1).expect_stderr(&["worker 0", "training samples", "--worker-index"]);
}

/// The job id on a process's command line.
fn job_of(process: &Process) -> String {
    let path = format!("/proc/{}/cmdline", process.pid());
    let line = std::fs::read_to_string(path).unwrap();
    let id = line.split('\0').find_map(|arg| arg.strip_prefix("--job-id=")).unwrap();
    id.to_owned()
}
