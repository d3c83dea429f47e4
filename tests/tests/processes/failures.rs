//! Processes that die, stop or are told to leave, in real jobs.

use ps_tests::process::{Process, alone, job_id, signal, wait_until};
use rustix::process::Signal;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than a job takes on two slow cores, even when it has to wait for a lease to end.
const PATIENCE: Duration = Duration::from_secs(90);
/// A job is under way.
const START: Duration = Duration::from_secs(30);
/// What psrun knows at once takes no lease's time: a deadline for leaving, and a margin.
const SOON: Duration = Duration::from_secs(10);

/// Enough passes that nobody is done before the test has done its worst.
const LONG: &str = "2000";

/// A job in the middle of its work.
struct Job {
    psrun: Process,
    out: TempDir,
    _alone: std::sync::MutexGuard<'static, ()>,
}

impl Job {
    fn under_way(test: &str, passes: &str) -> Self {
        Self::under_way_with(test, passes, &[])
    }

    fn under_way_with(test: &str, passes: &str, options: &[&str]) -> Self {
        let alone = alone();
        let out = tempfile::tempdir().unwrap();
        let folder = out.path().to_str().unwrap();
        let args = ["local", "--instances", "3", "--passes", passes, "--out", folder];
        let psrun = Process::start(&job_id(test), &[&args, options].concat());
        psrun.wait_for_stdout("pass=1;", START);
        Self { psrun, out, _alone: alone }
    }

    fn worker(&self, rank: u32) -> u32 {
        self.psrun.find(&["ps-worker", &format!("--worker-index={rank}")])
    }

    fn is_saved(&self) -> bool {
        self.out.path().join("model.safetensors").is_file()
    }
}

#[test]
fn a_job_survives_the_death_of_a_worker() {
    let mut job = Job::under_way("worker-dies", "40");
    let victim = job.worker(1);
    signal(victim, Signal::KILL);
    let end = job.psrun.wait(PATIENCE);
    end.expect_code(0).expect_stderr(&["worker 1", &format!("pid {victim}"), "signal 9"]);
    assert!(end.metric("final_test_accuracy").unwrap() > 0.9, "{}", end.stdout);
    assert!(job.is_saved());
}

/// Found by breakers: psrun knew at once that a worker was dead, and the others waited for its lease, the final evaluation for
/// that of the evaluator.
#[test]
fn regression_the_work_of_the_dead_goes_to_others_at_once() {
    let lease = Duration::from_secs(60);
    let mut job = Job::under_way_with("dead-lease", "40", &["--lease-ms=60000"]);
    let start = Instant::now();
    signal(job.worker(1), Signal::KILL);
    signal(job.psrun.find(&["ps-worker", "--role=evaluator"]), Signal::KILL);
    for lost in ["worker 1 at", "the evaluator at"] {
        job.psrun.wait_for_stderr(lost, SOON);
        let line = job.psrun.stderr();
        let line = line.lines().find(|line| line.contains(lost) && line.contains("is lost"));
        assert!(line.is_some_and(|line| line.contains("it was killed by signal 9")), "{line:?}");
    }
    let end = job.psrun.wait(PATIENCE);
    assert!(start.elapsed() < lease, "somebody waited for a lease\n{}", end.stderr);
    end.expect_code(0);
    assert!(end.metric("final_test_accuracy").unwrap() > 0.9, "{}", end.stdout);
}

#[test]
fn a_job_survives_a_worker_that_stands_still() {
    let mut job = Job::under_way("worker-stops", "40");
    signal(job.worker(0), Signal::STOP);
    let end = job.psrun.wait(PATIENCE);
    end.expect_code(0).expect_stderr(&["killing worker 0"]);
    assert!(end.metric("final_test_accuracy").unwrap() > 0.9, "{}", end.stdout);
    job.psrun.expect_nobody_left(Duration::ZERO);
}

#[test]
fn a_dead_server_ends_the_job_by_name() {
    let mut job = Job::under_way("server-dies", LONG);
    signal(job.psrun.find(&["ps-server", "--shard=1"]), Signal::KILL);
    let end = job.psrun.wait(SOON);
    end.expect_code(1).expect_stderr(&["server 1", "signal 9", "127.0.0.1:", "server-1.log"]);
    job.psrun.expect_nobody_left(Duration::ZERO);
}

#[test]
fn a_job_survives_a_server_that_stands_still_for_longer_than_its_lease() {
    let options = ["--lease-ms=1500", "--server-away-s=40"];
    let mut job = Job::under_way_with("server-stops", "40", &options);
    let server = job.psrun.find(&["ps-server", "--shard=1"]);
    signal(server, Signal::STOP);
    job.psrun.wait_for_stderr("is away", SOON);
    std::thread::sleep(Duration::from_secs(3));
    signal(server, Signal::CONT);
    let end = job.psrun.wait(PATIENCE);
    end.expect_code(0)
        .expect_stderr(&["server shard 1 at 127.0.0.1:", "server shard 1 is back after"]);
    assert!(end.metric("final_test_accuracy").unwrap() > 0.9, "{}", end.stdout);
    assert!(job.is_saved());
    job.psrun.expect_nobody_left(Duration::ZERO);
}

#[test]
fn a_server_that_stands_still_for_too_long_ends_the_job_by_name() {
    let options = ["--lease-ms=1000", "--server-away-s=3"];
    let mut job = Job::under_way_with("server-stays", LONG, &options);
    signal(job.psrun.find(&["ps-server", "--shard=1"]), Signal::STOP);
    let end = job.psrun.wait(SOON + Duration::from_secs(10));
    end.expect_code(1).expect_stderr(&["is away", "was silent for 3s; its weights are lost"]);
    job.psrun.expect_nobody_left(Duration::ZERO);
}

#[test]
fn a_job_without_workers_ends_at_once_and_its_last_line_says_why() {
    let mut job = Job::under_way("workers-die", LONG);
    let start = Instant::now();
    for rank in 0..2 {
        signal(job.worker(rank), Signal::KILL);
    }
    let end = job.psrun.wait(SOON);
    assert!(start.elapsed() < SOON / 2, "{:?}\n{}", start.elapsed(), end.stderr);
    end.expect_code(1);
    let last = end.stderr.lines().last().unwrap();
    for words in ["error: psrun: ", "no worker is left", "was killed by signal 9"] {
        assert!(last.contains(words), "{}", end.stderr);
    }
    assert!(!end.stderr.contains("a signal: saving"), "{}", end.stderr);
    // The servers had what was trained.
    assert!(job.is_saved());
    job.psrun.expect_nobody_left(Duration::ZERO);
}

/// Found by a newcomer: a job whose workers had all failed went on for nine seconds, told of a signal that nobody had sent, and
/// ended with another line than the cause.
#[test]
fn regression_workers_that_fail_end_the_job_with_their_reason() {
    let alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let data = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let rows: String =
        (0..400).map(|row| format!("{},{},{}\n", row % 7, row % 3, row % 2)).collect();
    data("train.csv", &rows);
    data("test.csv", &rows);
    let (path, out) = (folder.path().to_str().unwrap(), folder.path().join("out"));
    // Read anew in every pass: every worker finds it damaged, the last one when nobody waits for the others any more.
    let args = ["local", "--instances", "3", "--passes", LONG, "--stream", "--classes", "2"];
    let places = ["--lease-ms", "1000", "--data", path, "--out", out.to_str().unwrap()];
    let mut psrun = Process::start(&job_id("workers-fail"), &[&args[..], &places].concat());
    psrun.wait_for_stdout("pass=1;", START);
    // Each reads the rows of its rank only.
    data("train.csv", &format!("1,2,0\n{}", "1,nonsense,1\n".repeat(20)));
    let end = psrun.wait(SOON);
    end.expect_code(1);
    let last = end.stderr.lines().last().unwrap();
    for words in ["error: psrun: ", "no worker is left", "exited with code 1", "nonsense"] {
        assert!(last.contains(words), "no {words} at the end\n{}", end.stderr);
    }
    assert!(!end.stderr.contains("a signal: saving"), "{}", end.stderr);
    psrun.expect_nobody_left(Duration::ZERO);
    drop(alone);
}

#[test]
fn a_dead_master_ends_the_job_by_name() {
    let mut job = Job::under_way("master-dies", LONG);
    signal(job.psrun.find(&["ps-master"]), Signal::KILL);
    let end = job.psrun.wait(SOON);
    end.expect_code(1).expect_stderr(&["master", "signal 9"]);
    job.psrun.expect_nobody_left(Duration::ZERO);
}

/// Found by breakers: the last line named a worker, which had only given up.
#[test]
fn regression_a_master_that_stands_still_is_named_last() {
    let mut job = Job::under_way_with("master-stops", LONG, &["--lease-ms=1500"]);
    let master = job.psrun.find(&["ps-master"]);
    signal(master, Signal::STOP);
    let end = job.psrun.wait(SOON + Duration::from_secs(10));
    end.expect_code(1);
    let last = end.stderr.lines().last().unwrap();
    for words in ["error: psrun: master (pid", "does not answer: it is stopped", "kill -CONT"] {
        assert!(last.contains(words), "no {words} at the end\n{}", end.stderr);
    }
    job.psrun.expect_nobody_left(Duration::ZERO);
}

#[test]
fn a_dead_psrun_leaves_no_orphans() {
    let mut job = Job::under_way("psrun-dies", LONG);
    signal(job.psrun.pid(), Signal::KILL);
    // They leave as on SIGTERM, but for their code: the master saves first.
    job.psrun.expect_nobody_left(SOON);
    assert!(job.is_saved());
    assert_eq!(job.psrun.wait(SOON).status.code(), None);
}

#[test]
fn signals_save_the_model_first() {
    for (given, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut job = Job::under_way("signal", LONG);
        signal(job.psrun.pid(), given);
        job.psrun.wait(SOON).expect_code(code);
        assert!(job.is_saved(), "after {given:?}");
        job.psrun.expect_nobody_left(Duration::ZERO);
    }
}

/// Found by breakers: the job said 0 to who had interrupted it, without any of its final measures.
#[test]
fn regression_a_signal_in_the_final_evaluation_is_what_the_job_exits_with() {
    let mut job = Job::under_way_with("final-signal", "20", &["--lease-ms=60000"]);
    // Who measures stands still: the job waits for it when all else is done.
    signal(job.psrun.find(&["ps-worker", "--role=evaluator"]), Signal::STOP);
    assert!(wait_until(PATIENCE, || job.is_saved()), "{}", job.psrun.stderr());
    signal(job.psrun.pid(), Signal::TERM);
    let end = job.psrun.wait(SOON * 2);
    end.expect_code(143).expect_stderr(&["no final evaluation of the saved model: a signal"]);
    assert_eq!(end.metric("final_test_accuracy"), None);
    job.psrun.expect_nobody_left(Duration::ZERO);
}

#[test]
fn a_second_signal_ends_everything_at_once() {
    let mut job = Job::under_way("second-signal", LONG);
    // A server that stands still keeps the master from saving.
    signal(job.psrun.find(&["ps-server", "--shard=0"]), Signal::STOP);
    signal(job.psrun.pid(), Signal::INT);
    job.psrun.wait_for_stderr("signal received", SOON);
    // At once it would be the same wish.
    std::thread::sleep(Duration::from_millis(700));
    signal(job.psrun.pid(), Signal::INT);
    let end = job.psrun.wait(Duration::from_secs(3));
    end.expect_code(1).expect_stderr(&["may not be saved"]);
    assert!(wait_until(Duration::ZERO, || !job.is_saved()));
    job.psrun.expect_nobody_left(Duration::ZERO);
}

/// `timeout` and others tell a process and then its group, some milliseconds later: the model was lost by that.
#[test]
fn regression_two_signals_at_once_are_one_wish() {
    let mut job = Job::under_way("one-wish", LONG);
    for wish in [Signal::TERM, Signal::TERM] {
        signal(job.psrun.pid(), wish);
        std::thread::sleep(Duration::from_millis(20));
    }
    job.psrun.wait(PATIENCE).expect_code(143);
    assert!(job.is_saved());
}
