//! What a journal costs those who push, beside a server without one and beside writing as many bytes by hand.

use super::server::MEMORY;
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
use ps_tests::bench::server;
use ps_tests::loopback;
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Elements of the model, all of which each push has: 32 MiB.
const ELEMENTS: usize = 8 << 20;

/// Pushes of each of two workers in a half of a round: 512 MiB in all.
const PUSHES: usize = 8;

const MIB: usize = 2 * PUSHES * ELEMENTS * size_of::<f32>() / (1 << 20);

fn model() -> anyhow::Result<ModelSpec> {
    Ok(ModelSpec {
        layout: Layout::new(vec![TensorSpec::trainable("w", [ELEMENTS])])?,
        optimizer: Optimizer::parse("sgd", None, None)?,
        rules: Vec::new(),
        correction: Correction::Auto,
        bound: None,
        chunk_elements: chunk_elements(ELEMENTS, 1),
        shards: 1,
    })
}

/// Bytes of gradients a second with a journal, over those without, and over plain writing; what is required is the smaller of
/// a half of the one and four fifths of the other.
pub(crate) fn measure(rounds: usize) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(".")?;
    let journal = folder.path().join("journal");
    let (mut memory, mut wal) = (start(MEMORY)?, start(&journal.display().to_string())?);
    let (mut quick, mut durable, mut plain) =
        (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..rounds {
        quick.push(mib_per_s(&mut memory.1)?);
        durable.push(mib_per_s(&mut wal.1)?);
        plain.push(plain_mib_per_s(folder.path())?);
    }
    println!("\ngradients of two workers to one server, MiB/s");
    println!("{:34} {:>26}", "memory", quick.spread());
    println!("{:34} {:>26}", "wal", durable.spread());
    println!("{:34} {:>26}", "written by hand with fdatasync", plain.spread());
    report::figure("wal_push_over_memory", &durable.over(&quick));
    report::figure("wal_push_over_plain", &durable.over(&plain));
    let least = quick.0.iter().zip(&plain.0).map(|(quick, plain)| (0.5 * quick).min(0.8 * plain));
    report::figure("wal_push_over_required", &durable.over(&Samples(least.collect())));
    Ok(())
}

/// A server and its workers, each in a process of its own.
fn start(folder: &str) -> anyhow::Result<(Peer, Peer)> {
    let mut server = Peer::start(&["durable", folder])?;
    let address = server.line()?;
    let mut workers = Peer::start(&["flood", &address])?;
    anyhow::ensure!(workers.line()? == "ready", "the workers did not start");
    Ok((server, workers))
}

fn mib_per_s(workers: &mut Peer) -> anyhow::Result<f64> {
    workers.tell("go")?;
    Ok(MIB as f64 / workers.line()?.parse::<f64>()?)
}

/// Two workers that push when they are told to, and say how many seconds it took.
pub(crate) fn flood(address: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let model = model()?;
        let layout = Arc::new(model.layout.clone());
        let longest = Duration::from_secs(120);
        let worker = |worker| {
            let config = ClientConfig {
                worker,
                shard_map: ShardMapWatch::fixed([address]),
                patience: longest,
                attempt: longest,
                ..loopback::client_config("", 1, Wire::default())
            };
            Client::new(config, &server::outside(Connector::tcp()))
        };
        let clients = [worker(0)?, worker(1)?];
        clients[0].init(&model, vec![0.0; ELEMENTS]).await?;
        let gradient = Gradient::new(layout, vec![1.0; ELEMENTS], vec![true], 0.0);
        let mut clock = 0;
        let push = async |client: &Client, from: u64| {
            let mut weights = Weights::new(&model);
            for step in from..from + PUSHES as u64 {
                weights.set_clock(step);
                client.push(&gradient, 1e-9, &weights).await?;
            }
            anyhow::Ok(())
        };
        println!("ready");
        for line in std::io::stdin().lock().lines() {
            line?;
            let begun = Instant::now();
            let (one, two) = tokio::join!(push(&clients[0], clock), push(&clients[1], clock));
            one.and(two)?;
            clock += PUSHES as u64;
            println!("{}", begun.elapsed().as_secs_f64());
            std::io::stdout().flush()?;
        }
        Ok(())
    })
}

/// As many bytes written one after another, in pieces as large as a journal's, each made durable before the next.
fn plain_mib_per_s(folder: &Path) -> anyhow::Result<f64> {
    const PIECE_MIB: usize = 8;
    let path = folder.join("plain");
    let piece = vec![1_u8; PIECE_MIB << 20];
    let begun = Instant::now();
    let mut file = std::fs::File::create(&path)?;
    for _ in 0..MIB / PIECE_MIB {
        file.write_all(&piece)?;
        file.sync_data()?;
    }
    let took = begun.elapsed().as_secs_f64();
    std::fs::remove_file(&path)?;
    Ok(MIB as f64 / took)
}
