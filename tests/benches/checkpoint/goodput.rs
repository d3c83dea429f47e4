//! Pushes of all of a shard, as fast as they go or as a network brings them, while a checkpoint is written, and while none is.

use super::server;
use ps_client::{Client, ClientConfig, Gradient, ShardMapWatch, Weights};
use ps_core::correction::Correction;
use ps_core::model_spec::ModelSpec;
use ps_core::partition::chunk_elements;
use ps_core::settings::Wire;
use ps_core::{Layout, TensorSpec};
use ps_kernels::optimizer::Optimizer;
use ps_runtime::Connector;
use ps_tests::bench::peer::Peer;
use ps_tests::bench::report::{self, Samples};
use ps_tests::loopback;
use std::io::BufRead;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Parts of the model; each push has one, all in turn.
const PARTS: usize = 8;

/// What a half of a round takes at least, in seconds: longer than a checkpoint is written.
const SECONDS: f64 = 4.0;

fn model(mib: usize) -> anyhow::Result<ModelSpec> {
    let elements = (mib << 20) / (2 * size_of::<f32>());
    let part = |part| TensorSpec::trainable(format!("part{part}"), [elements / PARTS]);
    Ok(ModelSpec {
        layout: Layout::new((0..PARTS).map(part).collect())?,
        optimizer: Optimizer::parse("momentum", None, None)?,
        rules: Vec::new(),
        correction: Correction::Auto,
        bound: None,
        chunk_elements: chunk_elements(elements, 1),
        shards: 1,
    })
}

/// What pushes are limited to, in megabytes a second: 10 Gbit/s, and nothing.
const LIMITS: [(Option<u64>, &str); 2] = [(Some(1250), "_at_10_gbit"), (None, "")];

/// Pushes that are applied while a checkpoint is written, over as many seconds without one; and the server's memory over
/// that before.
pub(crate) fn measure(rounds: usize, mib: usize) -> anyhow::Result<()> {
    LIMITS.iter().try_for_each(|(limit, name)| measure_at(*limit, name, rounds, mib))
}

fn measure_at(limit: Option<u64>, name: &str, rounds: usize, mib: usize) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(".")?;
    let server = server::start(0, folder.path())?;
    let most = limit.unwrap_or(0).to_string();
    let mut worker = Peer::start(&["all", &server.address, &mib.to_string(), &most])?;
    anyhow::ensure!(worker.line()? == "ready", "the worker did not start");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut goodput, mut memory) = (Samples::default(), Samples::default());
    let (mut seconds, mut speed) = (Samples::default(), Samples::default());
    for round in 0..rounds as u64 {
        worker.tell("go")?;
        let quiet = ends(&worker.line()?)?;
        let resident = server.peer.reset_memory_peak()? as f64;
        worker.tell("go")?;
        let begun = Instant::now();
        // Not at the very beginning of the worker's.
        std::thread::sleep(Duration::from_millis(300));
        let from = begun.elapsed().as_secs_f64();
        runtime.block_on(server::snapshot(&server.address, round + 1))?;
        let to = begun.elapsed().as_secs_f64();
        let busy = ends(&worker.line()?)?;
        anyhow::ensure!(to < SECONDS, "a checkpoint took {:.1} s", to - from);
        memory.push(server.peer.memory_peak_bytes()? as f64 / resident);
        let within = |ends: &[f64]| ends.iter().filter(|end| (from..to).contains(*end)).count();
        let rate = quiet.len() as f64 / quiet.last().copied().unwrap_or(SECONDS);
        speed.push(rate * (mib / 2 / PARTS) as f64);
        goodput.push(within(&busy) as f64 / (to - from) / rate);
        seconds.push(to - from);
    }
    let most = limit.map_or("as fast as they go".to_owned(), |most| format!("{most} MB/s at most"));
    println!("\npushes of all of a shard of {mib} MiB in turn, {most}");
    println!("{:34} {:>26}", "seconds that a checkpoint takes", seconds.spread());
    println!("{:34} {:>26}", "MiB/s of gradients without one", speed.spread());
    report::figure(&format!("checkpoint_goodput_over_before{name}"), &goodput);
    report::figure(&format!("checkpoint_full_memory_over_before{name}"), &memory);
    Ok(())
}

/// When each push was applied, in seconds from the beginning.
fn ends(line: &str) -> anyhow::Result<Vec<f64>> {
    Ok(line.split(' ').map(str::parse).collect::<Result<_, _>>()?)
}

/// A worker that creates the model, and pushes for some seconds when it is told to: so many megabytes a second at most, if
/// that is not 0.
pub(crate) fn run(address: &str, mib: &str, most: &str) -> anyhow::Result<()> {
    let most: u64 = most.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let model = model(mib.parse()?)?;
        let longest = Duration::from_secs(120);
        let config = ClientConfig {
            shard_map: ShardMapWatch::fixed([address]),
            patience: longest,
            attempt: longest,
            ..loopback::client_config("", 1, Wire::default())
        };
        let client = Client::new(config, &ps_tests::bench::server::outside(Connector::tcp()))?;
        let elements = model.layout.elements();
        client.init(&model, vec![0.0; elements]).await?;
        let layout = Arc::new(model.layout.clone());
        let part = |part: usize| {
            let covered = (0..PARTS).map(|other| other == part).collect();
            Gradient::new(layout.clone(), vec![1.0; elements], covered, 0.0)
        };
        let parts: Vec<Gradient> = (0..PARTS).map(part).collect();
        let (mut weights, mut clock) = (Weights::new(&model), 0);
        let bytes = (elements / PARTS * size_of::<f32>()) as u64;
        let period = Duration::from_micros(bytes.checked_div(most).unwrap_or(0));
        println!("ready");
        for line in std::io::stdin().lock().lines() {
            line?;
            let (begun, mut ends) = (Instant::now(), Vec::new());
            while begun.elapsed().as_secs_f64() < SECONDS {
                let due = begun + period * ends.len() as u32;
                if due > Instant::now() {
                    tokio::time::sleep_until(due.into()).await;
                }
                weights.set_clock(clock);
                client.push(&parts[clock as usize % PARTS], 1e-9, &weights).await?;
                clock += 1;
                ends.push(begun.elapsed().as_secs_f64().to_string());
            }
            println!("{}", ends.join(" "));
        }
        Ok(())
    })
}
