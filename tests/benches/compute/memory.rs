//! How much memory a worker takes beyond its data, on a model of more than 100 MB.

use super::rounds::role;
use super::trained::{BATCH, data, peak_mib, runtime, trainer};
use anyhow::Context;
use ps_worker::compute::{Compute, SampleBatch};
use ps_worker::model::{CandleCompute, ComputeOptions, Models};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// Widths of the hidden layers: 30 million weights.
const WIDTH: usize = 5_120;

/// Starts a server and a worker, and prints what the worker found.
pub(crate) fn measure() -> anyhow::Result<()> {
    let mut server = role(&["server"])?.stdout(Stdio::piped()).spawn()?;
    let mut address = String::new();
    let output = server.stdout.take().context("no output")?;
    let found = BufReader::new(output).read_line(&mut address).map_err(anyhow::Error::from);
    let ended = found.and_then(|_| Ok(role(&["memory", address.trim()])?.status()?));
    server.kill()?;
    server.wait()?;
    anyhow::ensure!(ended?.success(), "the worker failed");
    Ok(())
}

/// Trains a few steps and compares the most memory that it ever had with what it must have.
pub(crate) fn worker(address: &str) -> anyhow::Result<()> {
    let data = data("mlp")?;
    let idle = peak_mib();
    let hidden = format!("{WIDTH},{WIDTH}");
    let options = ComputeOptions::new(
        "mlp",
        [("hidden", hidden.as_str())].into_iter().collect(),
        ps_worker::device::Device::Cpu,
    );
    let compute = CandleCompute::new(&Models::built_in(), options, data)?;
    let elements = compute.layout().elements();
    let runtime = runtime()?;
    runtime.block_on(async {
        let mut trainer = trainer(Box::new(compute), 0, address).await?;
        for step in 0..5 {
            let batch = SampleBatch::Numbers((step * BATCH..(step + 1) * BATCH).collect());
            trainer.step(batch, 0.0, u64::MAX).await?;
        }
        anyhow::Ok(())
    })?;
    // Inputs, both hidden layers and the outputs of every sample.
    let activations = BATCH as usize * (784 + 2 * WIDTH + 10);
    let state = (2 * elements + activations) as f64 * size_of::<f32>() as f64 / 1024.0 / 1024.0;
    let growth = peak_mib() - idle;
    eprintln!(
        "memory: {growth:.0} MiB more than idle, weights, gradients and activations {state:.0}"
    );
    println!("worker_memory_over_state={:.2};", growth / state);
    Ok(())
}
