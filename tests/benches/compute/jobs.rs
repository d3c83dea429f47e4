//! Whole jobs beside TensorFlow's in the same layout: 3 servers, 2 workers, a master.

use super::rounds::spread;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Trains both models in both systems, in turn; says why not, where something is missing.
pub(crate) fn measure(rounds: usize) -> anyhow::Result<()> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let (peers, python, data) =
        (variable("PS_BENCH_PEERS"), variable("PS_BENCH_TF"), variable("PS_TEST_DATA"));
    let (Some(peers), Some(python), Some(data)) = (peers, python, data) else {
        eprintln!("jobs: skipped, they need PS_BENCH_PEERS, PS_BENCH_TF and PS_TEST_DATA");
        return Ok(());
    };
    let data = data.join("mnist");
    // A job takes half a minute; three of each tell enough.
    for (ours, theirs, steps) in [("mlp", "mlp", 300), ("lenet", "cnn", 60)] {
        let (mut our_rates, mut their_rates) = (Vec::new(), Vec::new());
        for _ in 0..rounds.min(3) {
            our_rates.push(psrun(ours, &data)?);
            their_rates.push(tensorflow(&python, &peers, theirs, steps, &data)?);
        }
        let ((our, ..), (their, ..)) = (spread(&our_rates), spread(&their_rates));
        eprintln!(
            "{ours} job, samples/s: ours {our:.0} {our_rates:.0?}, TensorFlow {their:.0} {their_rates:.0?}"
        );
        let pairs = our_rates.iter().zip(&their_rates).map(|(our, their)| our / their);
        let (median, least, most) = spread(&pairs.collect::<Vec<_>>());
        println!("{ours}_job_over_tf={median:.2}; least={least:.2}; most={most:.2};");
    }
    Ok(())
}

/// Samples per second while our job trains, as its report says.
fn psrun(model: &str, data: &Path) -> anyhow::Result<f64> {
    let out = tempfile::tempdir()?;
    let program = std::env::current_exe()?;
    let folder = program.ancestors().nth(2).context("no target folder")?;
    let mut command = Command::new(folder.join("psrun"));
    command.args(["local", "--instances", "3", "--model", model, "--passes", "2", "--lr", "0.1"]);
    command.args(["--batch-size", "128", "--data"]).arg(data).arg("--out").arg(out.path());
    let output = command.stderr(Stdio::null()).output();
    let output = output.context("psrun; build it with `cargo build --release --workspace`")?;
    anyhow::ensure!(output.status.success(), "psrun ended with {}", output.status);
    let report = std::fs::read(out.path().join("report.json"))?;
    let report: serde_json::Value = serde_json::from_slice(&report)?;
    let seconds = report["timings"]["training"].as_f64().context("no timings in the report")?;
    let workers = report["workers"].as_object().context("no workers in the report")?;
    let samples = workers.values().filter_map(|worker| worker["counters"]["samples"].as_f64());
    Ok(samples.sum::<f64>() / seconds)
}

fn tensorflow(
    python: &Path,
    peers: &Path,
    model: &str,
    steps: u32,
    data: &Path,
) -> anyhow::Result<f64> {
    let mut command = Command::new(python);
    command.arg(peers.join("tf_dense.py")).args(["ps", model, &steps.to_string()]);
    let output = command.env("MNIST_DIR", data).stderr(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let result = result.with_context(|| format!("no RESULT from TensorFlow: {text}"))?;
    let result: serde_json::Value = serde_json::from_str(result)?;
    result["samples_s"].as_f64().context("no samples_s in TensorFlow's result")
}
