//! Servers without a journal that are killed while a job trains, with real processes: with `--on-server-loss continue` a server's
//! part goes back to the newest checkpoint alone, and the job says so.

use ps_tests::process::{Process, alone, job_id, processes, signal};
use rustix::process::Signal;
use std::path::Path;
use std::time::Duration;

/// Longer than any of these jobs takes on two slow cores.
const PATIENCE: Duration = Duration::from_secs(180);
const SOON: Duration = Duration::from_secs(40);

/// Long enough to be caught in the middle several times.
const PASSES: &str = "120";

fn start(name: &str, folder: &Path, more: &[&str]) -> Process {
    let [out, kept] = ["out", "kept"].map(|name| folder.join(name).display().to_string());
    let common = ["local", "--instances", "3", "--passes", PASSES];
    let folders = ["--out", &out, "--checkpoints", &kept];
    Process::start(&job_id(name), &[&common[..], &folders, more].concat())
}

fn kill_server(job: &Process, shard: u32) {
    signal(job.find(&["ps-server", &format!("--shard={shard}")]), Signal::KILL);
}

/// Waits until servers have gone back alone so often in all.
fn wait_until_back(job: &Process, times: usize) {
    let are_back = || job.stderr().matches("it went back alone to checkpoint").count() >= times;
    assert!(ps_tests::process::wait_until(SOON, are_back), "{}", job.stderr());
}

fn report(folder: &Path) -> serde_json::Value {
    let report = std::fs::read(folder.join("out/report.json")).unwrap();
    serde_json::from_slice(&report).unwrap()
}

/// One after the other: the job ends well, and says which parts went back, and to what.
#[test]
fn a_killed_servers_part_goes_back_alone_and_the_job_continues() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut job = start("alone", folder.path(), &["--on-server-loss=continue"]);
    job.wait_for_stderr("checkpoint 1 is written", PATIENCE);
    for (times, shard) in [(1, 0), (2, 1), (3, 2)] {
        kill_server(&job, shard);
        wait_until_back(&job, times);
        let newest = job.stdout().matches("pass=").count();
        assert!(
            ps_tests::process::wait_until(SOON, || job.stdout().matches("pass=").count() > newest),
            "nothing is trained any more: {}",
            job.stderr()
        );
    }
    let end = job.wait(PATIENCE);
    end.expect_code(0).expect_stderr(&[
        "signal 9: it is started again and goes back alone to a checkpoint",
        "server shard 1 was killed: it went back alone to checkpoint",
        "since then are lost, others kept theirs",
    ]);
    assert!(end.metric("final_test_accuracy").unwrap() > 0.9, "{}", end.stdout);
    job.expect_nobody_left(SOON);
    let report = report(folder.path());
    let went_back = report["servers_went_back"].as_array().unwrap();
    let shards: Vec<u64> = went_back.iter().map(|it| it["shard"].as_u64().unwrap()).collect();
    assert_eq!(shards, [0, 1, 2], "{report}");
    for it in went_back {
        assert!(it["checkpoint"].as_u64().unwrap() > 0, "{report}");
        let share = it["model_share"].as_f64().unwrap();
        assert!((0.2..0.5).contains(&share), "a third of the model: {report}");
    }
    let done = report["passes"].as_array().unwrap().iter().map(|pass| pass["pass"].as_u64());
    assert!(done.eq((1..=PASSES.parse().unwrap()).map(Some)), "{report}");
    assert_eq!(report["final_metrics"]["weights_match"], true, "{report}");
    // What was written after it is of all shards, and can be gone on from.
    let newest = report["checkpoint"].as_u64().unwrap();
    assert!(newest > went_back[2]["checkpoint"].as_u64().unwrap(), "{report}");
}

/// Whoever waits for others' steps, or computes while it exchanges, goes on after a death, too.
#[test]
fn nobody_waits_for_ever_for_what_was_lost() {
    let _alone = alone();
    let ways: [&[&str]; 4] = [
        &["--staleness-bound=0"],
        &["--staleness-bound=1"],
        &["--pipeline-depth=2"],
        &["--pipeline-depth=2", "--staleness-bound=3"],
    ];
    for (number, way) in ways.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("waits-{number}");
        let options = [&["--on-server-loss=continue"], *way].concat();
        let mut job = start(&name, folder.path(), &options);
        job.wait_for_stderr("checkpoint 1 is written", PATIENCE);
        for (times, shard) in [(1, 1), (2, 1), (3, 0)] {
            kill_server(&job, shard);
            wait_until_back(&job, times);
        }
        let end = job.wait(PATIENCE);
        end.expect_code(0);
        assert!(end.metric("final_test_accuracy").unwrap() > 0.9, "{way:?}: {}", end.stdout);
        let report = report(folder.path());
        assert_eq!(report["servers_went_back"].as_array().unwrap().len(), 3, "{way:?}: {report}");
    }
}

/// There is nothing that a part could go back to alone: all of the job goes back to its beginning, which is said.
#[test]
fn without_a_checkpoint_all_of_the_job_goes_back() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let options = ["--on-server-loss=continue", "--checkpoint-every-passes=60"];
    let mut job = start("none-yet", folder.path(), &options);
    job.wait_for_stdout("pass=1;", PATIENCE);
    kill_server(&job, 1);
    job.wait_for_stderr("the job goes back to its beginning", SOON);
    let end = job.wait(PATIENCE);
    end.expect_code(0).expect_stderr(&["cannot go back alone: no checkpoint is complete yet"]);
    assert!(end.metric("final_test_accuracy").unwrap() > 0.9, "{}", end.stdout);
}

/// A master in memory has nothing to go on from, whatever becomes of servers; and who wants the job to end says so.
#[test]
fn a_killed_master_has_all_of_the_job_go_back_and_stop_ends_it() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut job = start("master", folder.path(), &["--on-server-loss=continue"]);
    job.wait_for_stderr("checkpoint 1 is written", PATIENCE);
    signal(job.find(&["ps-master"]), Signal::KILL);
    job.wait_for_stderr("the job goes back to checkpoint", SOON);
    job.wait(PATIENCE).expect_code(0).expect_stderr(&["resumed from checkpoint"]);
    let folder = tempfile::tempdir().unwrap();
    let mut job = start("stop", folder.path(), &["--on-server-loss=stop"]);
    job.wait_for_stderr("checkpoint 1 is written", PATIENCE);
    kill_server(&job, 1);
    job.wait(PATIENCE)
        .expect_code(1)
        .expect_stderr(&["was killed by signal 9", "its weights are lost"]);
}

/// Found by a breaker: a server that was killed when the model was written failed the job, or had all of it trained again.
#[test]
fn regression_who_dies_after_the_model_is_written_costs_nothing() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let ways: [&[&str]; 4] = [
        &["--durability=wal"],
        &["--checkpoints=kept", "--on-server-loss=continue"],
        &["--checkpoints=kept"],
        &[],
    ];
    for way in ways {
        let mut killed = 0;
        // Who is told to leave is soon gone.
        for turn in 0..8 {
            let path = folder.path().join(format!("{}-{turn}", way.len()));
            let kept = format!("--checkpoints={}", path.join("kept").display());
            let out = path.join("out").display().to_string();
            let way = way.iter().map(|it| if *it == "--checkpoints=kept" { &kept } else { *it });
            let common = ["local", "--instances=3", "--passes=2", "--hidden=32", "--out", &out];
            let id = job_id(&format!("written-{turn}"));
            let words: Vec<&str> = common.into_iter().chain(way).collect();
            let mut job = Process::start(&id, &words);
            job.wait_for_stderr("the model is in", PATIENCE);
            let server = processes(&id).into_iter().find(|(_, words)| {
                words.iter().any(|it| it == "ps-server") && words.iter().any(|it| it == "--shard=1")
            });
            server.iter().for_each(|(pid, _)| signal(*pid, Signal::KILL));
            let end = job.wait(SOON);
            end.expect_code(0);
            assert!(!end.stderr.contains("trained again"), "{}", end.stderr);
            assert!(!path.join("out/journal").exists(), "nobody needs it any more");
            job.expect_nobody_left(SOON);
            killed += usize::from(end.stderr.contains("signal 9"));
            if killed > 0 {
                break;
            }
        }
        assert!(killed > 0, "{way:?}: nobody was killed in time");
    }
}

#[test]
fn continue_needs_checkpoints_and_workers_that_can_begin_anew() {
    let refused = |args: &[&str], words: &str| {
        let end = Process::start("", &[&["local", "--on-server-loss=continue"], args].concat());
        let mut end = end;
        end.wait(SOON).expect_code(64).expect_stderr(&["--on-server-loss continue", words]);
    };
    refused(&[], "--checkpoints DIR");
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().to_str().unwrap();
    refused(&["--checkpoints", kept, "--", "true"], "--durability wal");
}
