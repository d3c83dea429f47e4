//! The processes that train: they train for a while whenever a line asks them to, and print how fast.

use super::timed::{Timed, Times};
use anyhow::Context;
use ps_cli::TrainingArgs;
use ps_client::{CallOptions, Counters, HeartbeatConfig, Session, SessionConfig};
use ps_core::settings::TrainingSettings;
use ps_data::{Dataset, Features, Samples};
use ps_runtime::{Connector, Lanes, Shutdown, transport};
use ps_server::config::{Bounds, Config};
use ps_tests::loopback;
use ps_worker::compute::{Compute, ComputeOn, SampleBatch};
use ps_worker::device::DeviceChoice;
use ps_worker::model::{CandleCompute, ComputeOptions, ModelOptions, Models};
use ps_worker::threads;
use ps_worker::train::Trainer;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is measured.
pub(crate) const MODELS: [&str; 4] = ["mlp", "lenet", "resnet-tiny", "transformer-tiny"];

/// Training samples; a step takes the next ones, from the first again after the last.
const SAMPLES: u64 = 8_192;

/// Steps before the first that is timed.
const WARM_UP: u64 = 3;

/// Bytes of text in a sample.
const CONTEXT: usize = 64;

/// Samples of one step.
pub(crate) const BATCH: u64 = 128;

/// Seconds of training for each line that asks.
fn window(model: &str) -> Duration {
    Duration::from_secs(match model {
        "mlp" => 1,
        "transformer-tiny" => 6,
        _ => 3,
    })
}

/// Samples like MNIST's, or text.
pub(crate) fn data(model: &str) -> anyhow::Result<Arc<Dataset>> {
    let set = |count: u64| {
        let label = |sample| (sample * 7 % 10) as u32;
        let labels: Vec<u32> = (0..count).map(label).collect();
        let byte = |place: u64| (place.wrapping_mul(2_654_435_761) >> 13) as u8;
        if model == "transformer-tiny" {
            let floats = (0..count * CONTEXT as u64).map(|place| f32::from(byte(place))).collect();
            return Samples::new(Features::Floats(floats), vec![CONTEXT], labels);
        }
        let bytes = (0..count * 784).map(byte).collect();
        Samples::new(Features::Bytes(bytes), vec![28, 28], labels)
    };
    let set = |count| set(count).context("wrong number of features");
    let classes = if model == "transformer-tiny" { 256 } else { 10 };
    Ok(Arc::new(Dataset::new(set(SAMPLES)?, set(16)?, classes)))
}

fn made(model: &str) -> anyhow::Result<CandleCompute> {
    let device = std::env::var("PS_BENCH_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
    let device = device.parse::<DeviceChoice>()?.open()?;
    let options = ComputeOptions::new(model, ModelOptions::default(), device);
    Ok(CandleCompute::new(&Models::built_in(), options, data(model)?)?)
}

fn batch(step: u64) -> SampleBatch {
    SampleBatch::Numbers(
        (step * BATCH..(step + 1) * BATCH).map(|number| number % SAMPLES).collect(),
    )
}

/// Trains whenever a line comes, and answers each with how fast.
fn answer_lines(
    model: &str,
    mut step: impl FnMut(u64) -> anyhow::Result<()>,
    mut times: impl FnMut() -> Times,
) -> anyhow::Result<()> {
    for number in 0..WARM_UP {
        step(number)?;
    }
    println!("ready");
    let mut number = WARM_UP;
    for line in std::io::stdin().lock().lines() {
        line?;
        times();
        let (begun, first) = (Instant::now(), number);
        while begun.elapsed() < window(model) {
            step(number)?;
            number += 1;
        }
        let (seconds, steps) = (begun.elapsed().as_secs_f64(), number - first);
        let Times { forward, backward } = times();
        let rate = (steps * BATCH) as f64 / seconds;
        let share = |part: Duration| part.as_secs_f64() / seconds;
        println!("{rate} {} {} {}", share(forward), share(backward), peak_mib());
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// Largest memory of this process so far, in MiB.
pub(crate) fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

/// Trains without any server: plain SGD on the weights themselves.
pub(crate) fn alone(model: &str) -> anyhow::Result<()> {
    threads::configure_threads(1)?;
    let mut compute = Timed::new(made(model)?);
    let mut weights = compute.start_weights(1)?;
    let (times, rooms) = (compute.times(), Arc::default());
    answer_lines(
        model,
        |number| {
            let batch = batch(number);
            Ok(compute.step_in_place(&mut weights, batch, number, &rooms)?)
        },
        || times.take(),
    )
}

/// Serves one shard on a free port, printed, until it is killed.
pub(crate) fn serve() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (incoming, address) = transport::listen("127.0.0.1:0").await?;
        println!("{address}");
        let lease = Duration::from_secs(3600);
        let config = Config { lease, ..loopback::config(0, Bounds::default()) };
        let (_trigger, shutdown) = Shutdown::new();
        let (outside, address) = (loopback::outside(), address.to_string());
        let lanes = Lanes::per_core();
        ps_server::serve::run(
            config,
            incoming,
            lanes,
            address,
            outside,
            shutdown,
            Default::default(),
        )
        .await?;
        Ok(())
    })
}

/// Trains against one server.
pub(crate) fn with_server(model: &str, depth: &str, address: &str) -> anyhow::Result<()> {
    threads::configure_threads(1)?;
    let runtime = runtime()?;
    let compute = Timed::new(made(model)?);
    let times = compute.times();
    let mut trainer = runtime.block_on(trainer(Box::new(compute), depth.parse()?, address))?;
    answer_lines(
        model,
        |number| {
            let batch = batch(number);
            runtime.block_on(trainer.step(batch, 0.0, u64::MAX))?;
            Ok(())
        },
        || times.take(),
    )
}

/// What a worker's tasks run on: `ps_cli::process::Tasks::OneThread`.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// A trainer whose model is on this server.
pub(crate) async fn trainer(
    compute: Box<dyn Compute>,
    pipeline_depth: u64,
    address: &str,
) -> anyhow::Result<Trainer> {
    let longest = Duration::from_secs(60);
    let defaults = TrainingArgs::default().settings()?;
    let settings = TrainingSettings { pipeline_depth, staleness_bound: None, ..defaults };
    let config = SessionConfig {
        job: loopback::JOB.to_owned(),
        worker: 0,
        identity: Some((1, 0)),
        servers: vec![address.to_owned()],
        calls: CallOptions { attempt: longest, patience: longest, wire: settings.wire },
        heartbeat: HeartbeatConfig { interval: longest, step_timeout: longest },
    };
    let outside =
        ps_runtime::Outside { connector: Connector::local_first(), ..loopback::outside() };
    let session = Session::discover(config, Arc::new(Counters::default()), outside).await?;
    let mut trainer = Trainer::new(session, compute, settings, ComputeOn::Thread);
    trainer.init().await?;
    Ok(trainer)
}
