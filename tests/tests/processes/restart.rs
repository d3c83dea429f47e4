//! A job on this machine that is stopped or killed, and started again with the same command.

use ps_tests::process::{Process, alone, job_id, metrics, processes, signal};
use rustix::process::Signal;
use std::path::Path;
use std::time::Duration;

/// Longer than any of these jobs takes on two slow cores.
const PATIENCE: Duration = Duration::from_secs(120);

/// Long enough to be caught in the middle.
const PASSES: &str = "40";

fn start(name: &str, folder: &Path, instances: &str) -> Process {
    let [out, kept] = ["out", "kept"].map(|name| folder.join(name).display().to_string());
    let common = ["local", "--instances", instances, "--passes", PASSES];
    let args = [&common[..], &["--out", &out, "--checkpoints", &kept]].concat();
    Process::start(&job_id(name), &args)
}

/// Waits until this pass was measured: its checkpoint is on its way, and older ones are there.
fn wait_for_pass(psrun: &Process, pass: u64) {
    psrun.wait_for_stdout(&format!("pass={pass};"), PATIENCE);
}

/// The whole command again: it goes on, and ends as if nothing had been.
fn goes_on(name: &str, folder: &Path, instances: &str, first_pass: u64) {
    let mut psrun = start(name, folder, instances);
    let end = psrun.wait(PATIENCE);
    end.expect_code(0);
    psrun.expect_nobody_left(Duration::ZERO);
    assert!(end.stderr.contains("resumed from checkpoint"), "{}", end.stderr);
    assert!(end.stderr.contains("the newest checkpoint is"), "{}", end.stderr);
    let passes = metrics(&end.stdout, "pass");
    assert!(passes[0] >= first_pass as f64, "trained again: {passes:?}");
    let accuracy = end.metric("final_test_accuracy").unwrap();
    assert!(accuracy >= 0.95, "final_test_accuracy {accuracy}\n{}", end.stdout);
    let report = std::fs::read_to_string(folder.join("out/report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["passes"].as_array().unwrap().len().to_string(), PASSES);
    assert!(report["resumed"]["passes"].as_u64().unwrap() >= first_pass, "{}", report["resumed"]);
    assert_eq!(report["learning"], "learned");
}

#[test]
fn stopped_by_a_signal_and_started_again_a_job_goes_on() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut psrun = start("stopped", folder.path(), "3");
    wait_for_pass(&psrun, 4);
    signal(psrun.pid(), Signal::TERM);
    let end = psrun.wait(Duration::from_secs(10));
    end.expect_code(143);
    assert!(!end.stdout.contains(&format!("pass={PASSES};")), "it was stopped too late");
    // The checkpoint of the signal has all that was done, the model has it as well.
    assert!(folder.path().join("out/model.safetensors").is_file());
    goes_on("stopped", folder.path(), "3", 4);
}

/// Two jobs with one folder overwrote each other's model and checkpoints without a word.
#[test]
fn regression_a_folder_is_one_jobs_at_a_time() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut first = start("first", folder.path(), "2");
    wait_for_pass(&first, 1);
    let mut second = start("second", folder.path(), "2");
    second.wait_for_stderr("another job writes there", PATIENCE);
    // It waits, and has its turn.
    signal(first.pid(), Signal::TERM);
    first.wait(Duration::from_secs(15)).expect_code(143);
    second.wait_for_stderr("resumed from checkpoint", PATIENCE);
    signal(second.pid(), Signal::TERM);
    second.wait(Duration::from_secs(15)).expect_code(143);
}

#[test]
fn killed_at_once_and_started_again_on_other_servers_a_job_goes_on() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let job = job_id("killed");
    let [out, kept] = ["out", "kept"].map(|name| folder.path().join(name).display().to_string());
    let args = ["local", "--passes", PASSES, "--out", &out, "--checkpoints", &kept];
    let mut psrun = Process::start(&job, &args);
    wait_for_pass(&psrun, 4);
    for (pid, _) in processes(&job) {
        signal(pid, Signal::KILL);
    }
    psrun.wait(Duration::from_secs(10));
    // No last word: what goes on is what was written after a pass.
    goes_on("killed", folder.path(), "2", 1);
}

/// Without a journal, what a killed server had is in the newest checkpoint: psrun has the job go back to it by itself, as
/// it does when its master is killed; who wants it to end says so.
#[test]
fn a_job_goes_back_to_its_newest_checkpoint_by_itself() {
    let _alone = alone();
    for (name, victim) in
        [("back-server", &["ps-server", "--shard=1"][..]), ("back-master", &["ps-master"])]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut job = start(name, folder.path(), "3");
        wait_for_pass(&job, 3);
        signal(job.find(victim), Signal::KILL);
        job.wait_for_stderr("the job goes back to checkpoint", Duration::from_secs(20));
        let end = job.wait(PATIENCE);
        end.expect_code(0).expect_stderr(&["signal 9", "resumed from checkpoint"]);
        job.expect_nobody_left(Duration::ZERO);
        let passes = metrics(&end.stdout, "pass");
        assert_eq!(passes.last().map(f64::to_string).as_deref(), Some(PASSES));
        let starts = passes.windows(2).filter(|pair| pair[1] <= pair[0]).count();
        assert!(starts <= 1, "more was trained again than was lost: {passes:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let [out, kept] = ["out", "kept"].map(|name| folder.path().join(name).display().to_string());
    let args = [
        "local",
        "--passes",
        PASSES,
        "--out",
        &out,
        "--checkpoints",
        &kept,
        "--on-server-loss=stop",
    ];
    let mut job = Process::start(&job_id("back-stop"), &args);
    wait_for_pass(&job, 1);
    signal(job.find(&["ps-master"]), Signal::KILL);
    job.wait(PATIENCE).expect_code(1).expect_stderr(&["signal 9"]);
}
