//! A program of the user's as the worker: `psrun local -- CMD`.

use ps_tests::process::{Process, alone, job_id, metrics, processes, psrun};
use rustix::process::Signal;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longer than any of these jobs takes on two slow cores.
const PATIENCE: Duration = Duration::from_secs(90);

/// Starts a job of two instances whose worker runs this script.
fn start(job: &str, out: &Path, script: &str) -> Process {
    let (id, out) = (format!("--job-id={job}"), out.to_str().unwrap());
    let options = ["local", "--instances", "2", "--passes", "3", "--lr", "0.2", "--out", out];
    // What the harness adds after the script is the script's name for itself.
    let program = [id.as_str(), "--", "/bin/sh", "-c", script];
    Process::start(job, &[&options[..], &program].concat())
}

/// Worker 0 waited for the others to be gone before it wrote the model, and their places were held as long as it ran.
#[test]
fn regression_several_programs_that_are_our_worker_end() {
    let _alone = alone();
    let out = tempfile::tempdir().unwrap();
    let (job, run) = (job_id("programs"), out.path().join("run"));
    let worker = format!("exec {} ps-worker --out {}/own", psrun().display(), out.path().display());
    let id = format!("--job-id={job}");
    let options =
        ["local", "--instances", "3", "--passes", "2", "--out", run.to_str().unwrap(), &id];
    let program = ["--", "/bin/sh", "-c", &worker];
    Process::start("", &[&options[..], &program].concat()).wait(PATIENCE).expect_code(0);
    assert!(run.join("model.safetensors").is_file());
}

/// The script needs to repeat nothing: its place and the settings are in its environment.
#[test]
fn a_shell_script_trains_with_what_is_in_its_environment() {
    let _alone = alone();
    let out = tempfile::tempdir().unwrap();
    let own = out.path().join("own");
    let script = format!(
        "test \"$PS_WORKERS $PS_LR $PS_PASSES\" = '1 0.2 3' || exit 9\n\
         exec {} ps-worker --out {}",
        psrun().display(),
        own.display()
    );
    let job = job_id("program");
    let mut process = start(&job, &out.path().join("run"), &script);
    let end = process.wait(PATIENCE);
    end.expect_code(0);
    process.expect_nobody_left(Duration::ZERO);
    // The master's model and the one that the script wrote are the same weights.
    let read = |folder: &Path| std::fs::read(folder.join("model.safetensors")).unwrap();
    let (ours, its) = (read(&out.path().join("run")), read(&own));
    assert_eq!(ours.len(), its.len());
    let tensors = |bytes: &[u8]| {
        let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
        let mut tensors: Vec<_> =
            file.tensors().iter().map(|(name, t)| (name.clone(), t.data().to_vec())).collect();
        tensors.sort();
        tensors
    };
    assert_eq!(tensors(&ours), tensors(&its));
    // The master measured nothing; what the program printed went through.
    assert_eq!(metrics(&end.stdout, "final_test_accuracy").len(), 1, "{}", end.stdout);
    // Its steps only the servers know, its model nobody: 1,437 samples in batches of 32, three times.
    let json = |file: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(out.path().join("run").join(file)).unwrap()).unwrap()
    };
    assert_eq!(json("report.json")["workers"]["0"]["counters"]["steps"], 3 * 45);
    assert_eq!(json("config.json")["model"], serde_json::Value::Null);
    end.expect_stderr(&["worker 0: 135 steps, as the servers counted them"]);
}

/// Found by a newcomer: what it said stood in a log that nobody opened, the job went on for ten seconds, spoke of a signal, and wrote
/// a model that nobody had trained.
#[test]
fn regression_a_program_that_fails_ends_the_job_at_once_with_its_words() {
    let _alone = alone();
    let out = tempfile::tempdir().unwrap();
    let job = job_id("program-fails");
    let begun = Instant::now();
    let script = "echo hello; echo before >&2; echo \"boom: no such module\" >&2; exit 3";
    let mut process = start(&job, &out.path().join("run"), script);
    let end = process.wait(PATIENCE);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}\n{}", begun.elapsed(), end.stderr);
    end.expect_code(1);
    assert!(end.stdout.lines().any(|line| line == "hello"), "{}", end.stdout);
    // At once, and once more where people look last.
    let printed = |line: &str| end.stderr.lines().filter(|found| *found == line).count();
    assert_eq!(printed("[worker 0] before"), 2, "{}", end.stderr);
    assert_eq!(printed("[worker 0] boom: no such module"), 2, "{}", end.stderr);
    let last = end.stderr.lines().last().unwrap();
    for words in ["error: psrun: ", "worker 0 ", "exited with code 3", "boom: no such module"] {
        assert!(last.contains(words), "{}", end.stderr);
    }
    assert!(!end.stderr.contains("a signal: saving"), "{}", end.stderr);
    assert!(!out.path().join("run/model.safetensors").exists());
    process.expect_nobody_left(Duration::ZERO);
}

#[test]
fn a_signal_reaches_the_program_and_what_it_started() {
    let _alone = alone();
    let out = tempfile::tempdir().unwrap();
    let told = out.path().join("told");
    let script = format!(
        "trap 'echo told > {}; exit 0' TERM; echo started >&2; while :; do sleep 0.1; done",
        told.display()
    );
    let job = job_id("program-signal");
    let mut process = start(&job, &out.path().join("run"), &script);
    let runs = || processes(&job).iter().any(|(_, words)| words.iter().any(|w| w == "ps-worker"));
    assert!(ps_tests::process::wait_until(PATIENCE, runs));
    std::thread::sleep(Duration::from_secs(2));
    ps_tests::process::signal(process.pid(), Signal::TERM);
    process.wait(PATIENCE).expect_code(143);
    assert!(told.exists());
    process.expect_nobody_left(Duration::ZERO);
}

/// A program that takes no hint, and whose worker was killed or had no time left to kill it, lived on
/// without a parent when psrun had long ended.
#[test]
fn regression_a_program_that_ignores_signals_does_not_outlive_the_job() {
    let _alone = alone();
    for killed in ["ps-worker", "ps-server", "psrun"] {
        let out = tempfile::tempdir().unwrap();
        let started = out.path().join("started");
        let script =
            format!("trap '' TERM; echo > {}; while :; do sleep 0.1; done", started.display());
        let job = job_id("program-stays");
        let mut process = start(&job, &out.path().join("run"), &script);
        assert!(ps_tests::process::wait_until(PATIENCE, || started.exists()));
        if killed == "psrun" {
            // Told twice, it waits for nobody.
            ps_tests::process::signal(process.pid(), Signal::TERM);
            std::thread::sleep(Duration::from_millis(500));
            ps_tests::process::signal(process.pid(), Signal::TERM);
        } else {
            let is_role = |words: &[String]| words.iter().any(|word| word == killed);
            let role = processes(&job).into_iter().find(|(_, words)| is_role(words)).unwrap();
            ps_tests::process::signal(role.0, Signal::KILL);
        }
        process.wait(PATIENCE);
        process.expect_nobody_left(Duration::ZERO);
    }
}

/// Found by review: what a program had left its group with, or had started before it was killed, lived on.
#[test]
fn regression_nothing_that_a_program_started_outlives_the_job() {
    let _alone = alone();
    for killed in ["psrun", "ps-worker"] {
        let out = tempfile::tempdir().unwrap();
        let pids = out.path().join("pids");
        let script = format!(
            "sleep 600 & echo $! >> {pids}; setsid sleep 600 & echo $! >> {pids}; \
             echo $$ >> {pids}; wait",
            pids = pids.display()
        );
        let job = job_id("program-forks");
        let mut process = start(&job, &out.path().join("run"), &script);
        let started = || std::fs::read_to_string(&pids).unwrap_or_default();
        assert!(ps_tests::process::wait_until(PATIENCE, || started().lines().count() == 3));
        let pid = match killed {
            "psrun" => process.pid(),
            role => {
                let is_role = |words: &[String]| words.iter().any(|word| word == role);
                processes(&job).into_iter().find(|(_, words)| is_role(words)).unwrap().0
            }
        };
        ps_tests::process::signal(pid, Signal::KILL);
        process.wait(PATIENCE);
        let is_gone = |pid: &str| {
            // A zombie, if nobody waits for it, has no command line.
            let line = Path::new("/proc").join(pid).join("cmdline");
            std::fs::read(line).unwrap_or_default().is_empty()
        };
        let are_gone = || started().lines().all(is_gone);
        assert!(ps_tests::process::wait_until(Duration::from_secs(20), are_gone), "{killed}");
    }
}
