//! Guarantee 1, with real processes and real disks: servers with a journal are killed and come back with all that they
//! acknowledged, the master with all that it said.

use ps_tests::process::{Process, alone, job_id, processes, signal, wait_until};
use rustix::process::Signal;
use std::path::Path;
use std::time::Duration;

const START: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(90);
const SOON: Duration = Duration::from_secs(10);

/// One after another and all at once.
#[test]
fn a_job_goes_on_when_its_servers_are_killed() {
    let _alone = alone();
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().to_str().unwrap();
    let options = ["local", "--instances", "3", "--passes", "60", "--durability", "wal"];
    let mut job = Process::start(&job_id("wal"), &[&options[..], &["--out", folder]].concat());
    job.wait_for_stdout("pass=1;", START);
    let server = |job: &Process, shard: u32| job.find(&["ps-server", &format!("--shard={shard}")]);
    for shard in 0..3 {
        signal(server(&job, shard), Signal::KILL);
        job.wait_for_stderr(&format!("server shard {shard} was started again"), SOON);
    }
    let all = [0, 1, 2].map(|shard| server(&job, shard));
    all.iter().for_each(|pid| signal(*pid, Signal::KILL));
    wait_until(SOON, || job.stderr().matches("was started again at").count() >= 6);
    let end = job.wait(PATIENCE);
    end.expect_code(0).expect_stderr(&["signal 9", "goes on from its journal"]);
    assert!(end.metric("final_test_accuracy").unwrap() > 0.9, "{}", end.stdout);
    assert!(!out.path().join("journal").exists(), "nobody needs it any more");
    job.expect_nobody_left(SOON);
}

/// Every pass is in the report, once, and no sample was left out.
fn expect_everything(out: &Path, passes: u64) {
    let report = std::fs::read(out.join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    let done = report["passes"].as_array().unwrap().iter().map(|pass| pass["pass"].as_u64());
    assert!(done.eq((1..=passes).map(Some)), "{report}");
    assert_eq!(report["samples_skipped"], 0, "{report}");
}

/// Alone, and with all servers at once.
#[test]
fn a_job_goes_on_when_its_master_is_killed() {
    let _alone = alone();
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().to_str().unwrap();
    let options = ["local", "--instances", "3", "--passes", "60", "--durability", "wal"];
    let mut job = Process::start(&job_id("master"), &[&options[..], &["--out", folder]].concat());
    job.wait_for_stdout("pass=1;", START);
    let goes_on = |job: &Process, times: usize| {
        let passes = job.stdout().matches("pass=").count();
        wait_until(SOON, || job.stderr().matches("the master is back").count() >= times);
        wait_until(SOON, || job.stdout().matches("pass=").count() > passes)
    };
    for times in 1..=3 {
        signal(job.find(&["ps-master"]), Signal::KILL);
        assert!(goes_on(&job, times), "{}", job.stderr());
    }
    signal(job.find(&["ps-master"]), Signal::KILL);
    for shard in 0..3 {
        signal(job.find(&["ps-server", &format!("--shard={shard}")]), Signal::KILL);
    }
    assert!(goes_on(&job, 4), "{}", job.stderr());
    let end = job.wait(PATIENCE);
    end.expect_code(0).expect_stderr(&["signal 9", "goes on from what it had written down"]);
    assert!(end.metric("final_test_accuracy").unwrap() > 0.9, "{}", end.stdout);
    expect_everything(out.path(), 60);
    assert!(!out.path().join("journal/master/master-state").exists(), "nobody needs it any more");
    job.expect_nobody_left(SOON);
}

/// Whoever it is: the job goes on, and says at its end who was killed.
#[test]
fn a_job_outlives_chaos() {
    let _alone = alone();
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().to_str().unwrap();
    let options = ["local", "--instances", "3", "--passes", "60", "--out", folder, "--chaos", "2"];
    Process::start("", &options).wait(SOON).expect_code(64).expect_stderr(&["--durability wal"]);
    let mut job =
        Process::start(&job_id("outlives"), &[&options[..], &["--durability", "wal"]].concat());
    let end = job.wait(PATIENCE);
    end.expect_code(0).expect_stderr(&["it is started again", "processes were killed"]);
    let roles = ["masters", "servers", "workers", "evaluators"];
    let killed = roles.map(|role| end.metric(&format!("chaos_killed_{role}")).unwrap());
    assert!(killed.iter().sum::<f64>() >= 3.0, "{}", end.stdout);
    assert!(end.metric("final_test_accuracy").unwrap() > 0.9, "{}", end.stdout);
    expect_everything(out.path(), 60);
    job.expect_nobody_left(SOON);
}

/// A job in folders of its own, which can be cut off.
struct CutOff {
    out: tempfile::TempDir,
    journal: tempfile::TempDir,
    command: Vec<String>,
}

impl CutOff {
    fn of(passes: u64) -> Self {
        let (out, journal) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let [results, journals] = [&out, &journal].map(|it| it.path().to_str().unwrap().to_owned());
        let passes = passes.to_string();
        let options = ["local", "--instances", "3", "--passes", &passes, "--durability", "wal"];
        let folders = ["--out", &results, "--journal", &journals];
        let command = options.iter().chain(&folders).map(|word| (*word).to_owned()).collect();
        Self { out, journal, command }
    }

    /// Its id is its own: no job of this test.
    fn start(&self, more: &[&str]) -> Process {
        let words: Vec<&str> =
            self.command.iter().map(String::as_str).chain(more.iter().copied()).collect();
        Process::start("", &words)
    }
}

/// The id that a job has given itself.
fn own_id(job: &Process) -> String {
    job.stderr().split("job ").nth(1).unwrap().split(':').next().unwrap().to_owned()
}

/// As when a machine loses its power: nobody is left to say anything.
#[test]
fn a_job_that_was_cut_off_whole_goes_on_with_the_same_command() {
    let _alone = alone();
    let cut = CutOff::of(30);
    let mut job = cut.start(&[]);
    job.wait_for_stdout("pass=2;", START);
    let id = own_id(&job);
    let all: Vec<u32> = processes(&id).into_iter().map(|(pid, _)| pid).chain([job.pid()]).collect();
    assert!(all.len() >= 7, "{all:?}");
    all.iter().for_each(|pid| signal(*pid, Signal::STOP));
    all.iter().for_each(|pid| signal(*pid, Signal::KILL));
    job.wait(SOON);
    assert!(wait_until(SOON, || processes(&id).is_empty()));
    let refused = cut.start(&["--hidden", "16"]).wait(SOON);
    refused.expect_code(1).expect_stderr(&["started with other options", "now hidden = \"16\""]);
    let end = cut.start(&[]).wait(PATIENCE);
    end.expect_code(0).expect_stderr(&["was cut off: it goes on", "the master is back"]);
    assert!(!end.stdout.contains("pass=1;"), "{}", end.stdout);
    expect_everything(cut.out.path(), 30);
    assert!(!cut.journal.path().exists(), "nobody needs it any more");
}

/// Found by a breaker: psrun alone was killed, and its processes a moment after it: what they had begun to do for want of a
/// parent ended the job when it went on.
#[test]
fn regression_a_job_whose_processes_die_after_their_parent_goes_on() {
    let _alone = alone();
    let cut = CutOff::of(30);
    let mut job = cut.start(&[]);
    job.wait_for_stdout("pass=2;", START);
    let id = own_id(&job);
    let all = processes(&id);
    signal(job.pid(), Signal::KILL);
    std::thread::sleep(Duration::from_millis(2));
    all.iter().for_each(|(pid, _)| signal(*pid, Signal::KILL));
    job.wait(SOON);
    assert!(wait_until(SOON, || processes(&id).is_empty()));
    let end = cut.start(&[]).wait(PATIENCE);
    end.expect_code(0);
    expect_everything(cut.out.path(), 30);
}

/// The last pass that a job has told of.
fn last_pass(stdout: &str) -> u64 {
    let passes = stdout.split("pass=").skip(1).filter_map(|rest| rest.split(';').next());
    passes.filter_map(|pass| pass.parse().ok()).max().unwrap()
}

/// Ctrl-C, SIGTERM, or nobody is left who started it: the model so far is saved, and nothing of the rest is lost.
#[test]
fn a_job_that_was_told_to_end_goes_on_with_the_same_command() {
    let _alone = alone();
    let cut = CutOff::of(60);
    let mut pass = 0;
    for (by, code) in [(Signal::INT, Some(130)), (Signal::TERM, Some(143)), (Signal::KILL, None)] {
        let mut job = cut.start(&[]);
        let wait = format!("pass={};", pass + 2);
        job.wait_for_stdout(&wait, START);
        let id = own_id(&job);
        signal(job.pid(), by);
        let end = job.wait(SOON);
        if let Some(code) = code {
            end.expect_code(code).expect_stderr(&["are kept: the same command goes on from there"]);
        }
        assert!(wait_until(SOON, || processes(&id).is_empty()));
        assert!(cut.out.path().join("model.safetensors").exists());
        let first = format!("pass={};", pass + 1);
        assert!(end.stdout.contains(&first), "{by:?} {}", end.stdout);
        pass = last_pass(&end.stdout);
    }
    let end = cut.start(&[]).wait(PATIENCE);
    end.expect_code(0).expect_stderr(&["was cut off: it goes on"]);
    assert!(!end.stdout.contains("pass=1;"), "{}", end.stdout);
    expect_everything(cut.out.path(), 60);
    assert!(!cut.journal.path().exists(), "nobody needs it any more");
}

/// Found by a breaker: servers that were told to end by a signal, while their master stood still, removed their journals.
#[test]
fn regression_servers_that_nobody_let_leave_keep_their_journals() {
    let _alone = alone();
    let cut = CutOff::of(60);
    let mut job = cut.start(&[]);
    job.wait_for_stdout("pass=2;", START);
    let id = own_id(&job);
    let all = processes(&id);
    let (master, _) =
        all.iter().find(|(_, words)| words.iter().any(|it| it == "ps-master")).unwrap();
    signal(*master, Signal::STOP);
    signal(job.pid(), Signal::TERM);
    job.wait(SOON * 3);
    assert!(wait_until(SOON, || processes(&id).is_empty()));
    let end = cut.start(&[]).wait(PATIENCE);
    end.expect_code(0).expect_stderr(&["was cut off: it goes on"]);
    expect_everything(cut.out.path(), 60);
}

/// Found by a breaker: its servers were started over and over, with journals of another job.
#[test]
fn regression_journals_of_a_job_that_has_ended_are_refused() {
    let _alone = alone();
    let cut = CutOff::of(500);
    let mut job = cut.start(&[]);
    job.wait_for_stdout("pass=1;", START);
    let id = own_id(&job);
    signal(job.pid(), Signal::KILL);
    job.wait(SOON);
    assert!(wait_until(SOON, || processes(&id).is_empty()));
    // As if its master had been led to its end elsewhere.
    std::fs::remove_dir_all(cut.journal.path().join("master")).unwrap();
    let refused = cut.start(&[]).wait(SOON);
    refused.expect_code(1).expect_stderr(&["a journal of another job", "remove that folder"]);
}

#[test]
fn durability_and_its_folder_go_together() {
    let _alone = alone();
    let server = |args: &[&str]| {
        let mut process = Process::start("", &[&["ps-server", "--shard", "0"], args].concat());
        process.wait(SOON)
    };
    server(&["--durability", "wal"]).expect_code(64).expect_stderr(&["--journal DIR"]);
    server(&["--journal", "/tmp/x"]).expect_code(64).expect_stderr(&["--durability wal"]);
}

/// A server and a worker without a master: whoever starts the server again gives it the same folder and address.
#[test]
fn a_server_alone_goes_on_from_its_journal_and_says_what_was_changed_in_it() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let (journal, out) = (folder.path().join("journal"), folder.path().join("out"));
    let (job, journal_text) = (job_id("wal-alone"), journal.to_str().unwrap().to_owned());
    let serve = |listen: &str| {
        let server = ["ps-server", "--shard=0", "--durability=wal", "--listen", listen];
        Process::start(&job, &[&server[..], &["--journal", &journal_text]].concat())
    };
    let server = serve("127.0.0.1:0");
    server.wait_for_stdout("listening=", START);
    let address =
        server.stdout().split("listening=").nth(1).unwrap().trim_end_matches(";\n").to_owned();
    let worker = ["ps-worker", "--ps", &address, "--passes", "40", "--out", out.to_str().unwrap()];
    let mut worker = Process::start(&job, &worker);
    worker.wait_for_stdout("pass=1;", START);
    signal(server.pid(), Signal::KILL);
    wait_until(SOON, || ps_tests::process::processes(&job).len() == 1);
    let server = serve(&address);
    server.wait_for_stderr("goes on from its journal", SOON);
    let end = worker.wait(PATIENCE);
    end.expect_code(0);
    assert!(end.metric("final_test_accuracy").unwrap() > 0.9, "{}", end.stdout);
    signal(server.pid(), Signal::KILL);
    wait_until(SOON, || ps_tests::process::processes(&job).is_empty());
    // One bit in the middle of what was acknowledged.
    let mut files: Vec<_> = std::fs::read_dir(journal.join("shard-0"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    let log = files.iter().find(|path| path.extension().is_some_and(|it| it == "log")).unwrap();
    let mut bytes = std::fs::read(log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(log, &bytes).unwrap();
    let end = serve("127.0.0.1:0").wait(SOON);
    end.expect_code(1)
        .expect_stderr(&[log.file_name().unwrap().to_str().unwrap(), "on the disk once"]);
}
