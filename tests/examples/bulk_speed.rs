//! Gigabytes per second of pushes and pulls between one worker and one server in this process.
//!
//! `bulk_speed [MIB] [ROUNDS]`; the medians count, and only beside others of the same run.

use ps_client::{Client, ClientConfig, Gradient, ShardMapWatch, Weights};
use ps_core::TensorSpec;
use ps_core::settings::Wire;
use ps_tests::loopback::{JOB, Server, model_of, outside};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// That of the programs which are measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<usize> =
        std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let argument = |position: usize, default| arguments.get(position).copied().unwrap_or(default);
    let (mib, rounds) = (argument(0, 64).max(1), argument(1, 15));
    let elements = mib << 18;
    let server = Server::start(0).await?;
    let config = ClientConfig {
        job: JOB.into(),
        worker: 0,
        incarnation: 5,
        shard_map: ShardMapWatch::fixed([server.address.clone()]),
        patience: Duration::from_secs(60),
        attempt: Duration::from_secs(30),
        wire: Wire::default(),
    };
    let client = Client::new(config, &outside())?;
    let model = model_of(vec![TensorSpec::trainable("a", [elements])]);
    client.init(&model, vec![0.0; elements]).await?;
    let gradient =
        Gradient::new(Arc::new(model.layout.clone()), vec![1e-3; elements], vec![true], 0.0);
    let mut weights = Weights::new(&model);
    let (mut pushes, mut pulls, mut both) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds as u64 + 2 {
        let start = Instant::now();
        client.pull(3 * round, &mut weights).await?;
        let pulled = Instant::now();
        client.push(&gradient, 0.1, &weights).await?;
        let pushed = Instant::now();
        client.push_pull(&gradient, 0.1, &mut weights).await?;
        // The first two rounds touch memory for the first time.
        if round >= 2 {
            pulls.push(pulled - start);
            pushes.push(pushed - pulled);
            both.push(pushed.elapsed());
        }
    }
    let gigabytes = (elements * size_of::<f32>()) as f64 / 1e9;
    println!(
        "mib={mib}; push_gb_per_second={:.3}; pull_gb_per_second={:.3}; push_pull_ms={:.1};",
        gigabytes / median(&mut pushes),
        gigabytes / median(&mut pulls),
        median(&mut both) * 1e3
    );
    Ok(())
}
