//! `psrun checkpoint` on folders that real jobs have left, and beside one that runs.

use ps_tests::process::{Finished, Process, alone, job_id, metrics, psrun, signal};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Longer than any of these jobs takes on two slow cores.
const PATIENCE: Duration = Duration::from_secs(120);

/// A job's folders: what it writes, and its checkpoints.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn start(&self, name: &str, instances: &str, passes: &str) -> Process {
        self.start_with(name, instances, passes, &[])
    }

    fn start_with(&self, name: &str, instances: &str, passes: &str, more: &[&str]) -> Process {
        let [out, kept] = ["out", "kept"].map(|name| self.path(name).display().to_string());
        // What is measured here is not the model.
        let args = ["local", "--hidden", "16", "--instances", instances, "--passes", passes];
        Process::start(
            &job_id(name),
            &[&args[..], &["--out", &out, "--checkpoints", &kept], more].concat(),
        )
    }

    /// `psrun checkpoint` with this command on the job's folder.
    fn checkpoint(&self, command: &str, more: &[&str]) -> Finished {
        run(Command::new(psrun()).args(["checkpoint", command]).arg(self.path("kept")).args(more))
    }

    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.path("kept")).unwrap();
        let mut names: Vec<String> =
            names.map(|it| it.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn run(command: &mut Command) -> Finished {
    let output = command.output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    Finished { status: output.status, stdout, stderr }
}

fn evaluated(model: &Path) -> Finished {
    let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/digits");
    run(Command::new(psrun()).args(["evaluate", "--data", digits, "--model"]).arg(model))
}

/// The last checkpoint is of the moment in which the model is written: exported, it is that model, file by file.
#[test]
fn an_exported_checkpoint_is_the_model_that_the_job_wrote() {
    let _alone = alone();
    for instances in ["1", "3", "4"] {
        let place = Place::new();
        place.start("exported", instances, "3").wait(PATIENCE).expect_code(0);
        let listed = place.checkpoint("ls", &[]);
        listed.expect_code(0);
        assert_eq!(listed.metric("shards").unwrap().to_string(), instances, "{}", listed.stdout);
        assert_eq!(listed.metric("passes"), Some(3.0));
        assert_eq!(listed.stdout.matches("complete=true;").count(), listed.stdout.lines().count());
        let verified = place.checkpoint("verify", &[]);
        verified.expect_code(0);
        assert_eq!(metrics(&verified.stdout, "checkpoint"), metrics(&listed.stdout, "checkpoint"));
        let model = place.path("model");
        let out = ["--out", model.to_str().unwrap()];
        place.checkpoint("export", &out).expect_code(0).expect_stderr(&["psrun evaluate"]);
        for name in ["model.safetensors", "config.json"] {
            let [job, exported] = ["out", "model"].map(|it| place.path(it).join(name));
            let same = std::fs::read(job).unwrap() == std::fs::read(exported).unwrap();
            assert!(same, "{name}, {instances} instances");
        }
        place.checkpoint("export", &out).expect_code(1).expect_stderr(&["--overwrite"]);
        let [job, exported] = ["out", "model"].map(|it| evaluated(&place.path(it)));
        exported.expect_code(0);
        assert_eq!(exported.stdout, job.stdout);
    }
}

#[test]
fn prune_is_refused_while_a_job_runs_and_the_job_goes_on_from_what_it_keeps() {
    let _alone = alone();
    let place = Place::new();
    let mut job = place.start("pruned", "3", "40");
    // Three of them: each was begun after the one before was done.
    job.wait_for_stdout("pass=4;", PATIENCE);
    place.checkpoint("prune", &["--keep", "1"]).expect_code(1).expect_stderr(&["a job keeps"]);
    place.checkpoint("ls", &[]).expect_code(0);
    signal(job.pid(), Signal::TERM);
    job.wait(Duration::from_secs(20)).expect_code(143);
    let newest = place.checkpoint("ls", &[]).metric("checkpoint").unwrap();
    let pruned = place.checkpoint("prune", &["--keep", "1"]);
    pruned.expect_code(0);
    assert!(metrics(&pruned.stdout, "checkpoint").iter().all(|number| *number < newest));
    let left = place.checkpoint("ls", &[]);
    assert_eq!(metrics(&left.stdout, "checkpoint"), [newest]);
    assert_eq!(place.files().len(), 4, "{:?}", place.files());
    // On another number of servers.
    let mut job = place.start("pruned", "2", "40");
    job.wait_for_stderr(&format!("resumed from checkpoint {newest}"), PATIENCE);
    job.wait(PATIENCE).expect_code(0);
    place.checkpoint("verify", &[]).expect_code(0);
}

#[test]
fn damage_is_named_with_what_to_do_next() {
    let _alone = alone();
    let place = Place::new();
    place.start("damaged", "2", "3").wait(PATIENCE).expect_code(0);
    let numbers = metrics(&place.checkpoint("ls", &[]).stdout, "checkpoint");
    let (newest, before) = (numbers[numbers.len() - 1], numbers[numbers.len() - 2]);
    let name = format!("checkpoint-{newest:06}-shard-1-of-2.safetensors");
    let file = place.path("kept").join(&name);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[5000] ^= 4;
    std::fs::write(&file, &bytes).unwrap();
    let words = [&name, "of chunk", &*format!("newest whole one is {before}")];
    let verified = place.checkpoint("verify", &[]);
    verified.expect_code(1).expect_stderr(&words);
    assert!(verified.stdout.contains(&format!("checkpoint={newest}; ok=false;")));
    bytes.truncate(5000);
    std::fs::write(&file, &bytes).unwrap();
    place.checkpoint("verify", &[]).expect_code(1).expect_stderr(&[&name, "found 5000, expected"]);
    std::fs::remove_file(&file).unwrap();
    place.checkpoint("verify", &[]).expect_code(1).expect_stderr(&[&name, "found none"]);
    let out = place.path("model");
    let out = ["--out", out.to_str().unwrap()];
    place.checkpoint("export", &out).expect_code(1).expect_stderr(&[&name, "--number"]);
    place.checkpoint("prune", &["--keep=1"]).expect_code(0).expect_stderr(&["is damaged"]);
    assert_eq!(metrics(&place.checkpoint("ls", &[]).stdout, "checkpoint"), [before]);
}

/// The address of a job's master, and the job's id, as its log says them to people.
fn master_of(job: &Process) -> [String; 2] {
    let words = "a checkpoint at any time: ";
    job.wait_for_stderr(words, PATIENCE);
    let said = job.stderr();
    let line = said.lines().find(|line| line.contains(words)).unwrap();
    let after = |word: &str| {
        let rest = line.split_once(word).unwrap().1;
        rest.split_whitespace().next().unwrap().to_owned()
    };
    [after("--master "), after("--job-id ")]
}

/// Whoever wants a checkpoint of a job that trains gets one at once, as often as wanted, each whole and of one moment.
#[test]
fn a_job_that_trains_writes_a_checkpoint_when_it_is_asked() {
    let _alone = alone();
    let place = Place::new();
    let more = ["--checkpoint-every-passes", "0", "--checkpoint-every-s", "3"];
    let mut job = place.start_with("asked", "3", "100000", &more);
    let [master, id] = master_of(&job);
    let now = |master: &str, id: &str| {
        run(Command::new(psrun()).args(["checkpoint", "now", "--master", master, "--job-id", id]))
    };
    job.wait_for_stdout("pass=", PATIENCE);
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let asked = now(&master, &id);
        asked.expect_code(0);
        assert!(asked.stdout.contains("written=true;"), "{}", asked.stdout);
        let number = asked.metric("checkpoint").unwrap();
        let number = (number as u64).to_string();
        place.checkpoint("verify", &["--number", &number]).expect_code(0);
        numbers.push(number);
    }
    assert!(numbers.is_sorted() && numbers[0] != numbers[2], "{numbers:?}");
    let listed = place.checkpoint("ls", &[]);
    let torn = metrics(&listed.stdout, "torn");
    assert!(!torn.is_empty() && torn.iter().all(|torn| *torn == 0.0), "{}", listed.stdout);
    // Of itself it writes more, though no pass ends one.
    std::thread::sleep(Duration::from_secs(4));
    let newest = *metrics(&place.checkpoint("ls", &[]).stdout, "checkpoint").last().unwrap();
    assert!(newest as u64 > numbers[2].parse().unwrap(), "{newest} after {numbers:?}");
    now(&master, "other").expect_code(1).expect_stderr(&["job `other`"]);
    signal(job.pid(), Signal::TERM);
    job.wait(PATIENCE).expect_code(143);
    now(&master, &id).expect_code(1).expect_stderr(&[&master]);
}
