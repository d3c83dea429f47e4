//! Whole jobs as a user runs them: `psrun local` and what it leaves behind.

use ps_tests::process::{Process, alone, job_id, metrics};
use std::path::Path;
use std::time::Duration;

/// Longer than any of these jobs takes on two slow cores.
const PATIENCE: Duration = Duration::from_secs(90);

/// Everybody was waited for when psrun ends.
const NOW: Duration = Duration::ZERO;

fn saved_tensors(out: &Path) -> Vec<String> {
    let bytes = std::fs::read(out.join("model.safetensors")).unwrap();
    let model = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    model.names().into_iter().map(|name| name.to_owned()).collect()
}

#[test]
fn three_instances_learn_the_bundled_digits() {
    let _alone = alone();
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("run");
    let job = job_id("digits");
    let mut psrun = Process::start(&job, &["local", "--out", folder.to_str().unwrap()]);
    let end = psrun.wait(PATIENCE);
    end.expect_code(0);
    psrun.expect_nobody_left(NOW);

    let accuracy = end.metric("final_test_accuracy").unwrap();
    assert!(accuracy >= 0.95, "final_test_accuracy {accuracy}\n{}", end.stdout);
    let passes = metrics(&end.stdout, "pass");
    assert_eq!(passes.len(), metrics(&end.stdout, "test_accuracy").len(), "{}", end.stdout);
    assert_eq!(passes.len(), metrics(&end.stdout, "test_loss").len(), "{}", end.stdout);
    assert!(passes.is_sorted(), "{}", end.stdout);
    for line in end.stdout.lines() {
        assert!(line.ends_with(';') && line.contains('='), "not a metric line: {line}");
    }

    assert!(!saved_tensors(&folder).is_empty());
    let report = std::fs::read_to_string(folder.join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert!(report.is_object(), "{report}");
    for log in ["server-0", "server-1", "server-2", "worker-0", "worker-1", "evaluator"] {
        let log = folder.join("logs").join(log).with_extension("log");
        assert!(log.is_file(), "{}", log.display());
    }
}

/// Fewer bytes, the same digits.
#[test]
fn digits_are_learnt_in_every_encoding() {
    let _alone = alone();
    let plain = pushed_bytes(&[]);
    for (options, at_most) in [
        (&["--wire", "bf16", "--wire-pull", "bf16"][..], 0.51),
        (&["--wire", "f16", "--wire-pull", "f16"], 0.51),
        (&["--wire", "int8", "--wire-pull", "int8"], 0.27),
        (&["--wire", "bf16", "--top-k", "0.05"], 0.06),
    ] {
        let share = pushed_bytes(options) / plain;
        assert!(share <= at_most, "{options:?}: {share} of the bytes of f32");
    }
}

/// Bytes that the workers of a job on the bundled digits pushed for each step; it must learn.
fn pushed_bytes(options: &[&str]) -> f64 {
    let out = tempfile::tempdir().unwrap();
    let args = [&["local", "--out", out.path().to_str().unwrap()], options].concat();
    let mut psrun = Process::start(&job_id("encoded"), &args);
    let end = psrun.wait(PATIENCE);
    end.expect_code(0);
    psrun.expect_nobody_left(NOW);
    let accuracy = end.metric("final_test_accuracy").unwrap();
    assert!(accuracy >= 0.95, "{options:?}: final_test_accuracy {accuracy}\n{}", end.stdout);
    let report = std::fs::read_to_string(out.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let workers = report["workers"].as_object().unwrap().values();
    let sum = |name: &str| {
        workers.clone().map(|worker| worker["counters"][name].as_f64().unwrap()).sum::<f64>()
    };
    sum("bytes_pushed") / sum("steps")
}

#[test]
fn digits_are_learnt_with_exchanges_under_way() {
    let _alone = alone();
    for depth in ["1", "2"] {
        let out = tempfile::tempdir().unwrap();
        let folder = out.path().to_str().unwrap();
        let args = ["local", "--pipeline-depth", depth, "--out", folder];
        let mut psrun = Process::start(&job_id("pipelined"), &args);
        let end = psrun.wait(PATIENCE);
        end.expect_code(0);
        psrun.expect_nobody_left(NOW);
        let accuracy = end.metric("final_test_accuracy").unwrap();
        assert!(accuracy >= 0.95, "depth {depth}: {accuracy}\n{}", end.stdout);
        let report = std::fs::read_to_string(out.path().join("report.json")).unwrap();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["settings"]["pipeline_depth"].to_string(), depth);
    }
}

#[test]
fn one_instance_is_a_whole_job() {
    let _alone = alone();
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().to_str().unwrap();
    let args = ["local", "--instances", "1", "--passes", "3", "--out", folder];
    let mut psrun = Process::start(&job_id("one"), &args);
    let end = psrun.wait(PATIENCE);
    end.expect_code(0);
    assert!(end.metric("final_test_accuracy").is_some(), "{}", end.stdout);
    assert!(!saved_tensors(out.path()).is_empty());
    psrun.expect_nobody_left(NOW);
}
