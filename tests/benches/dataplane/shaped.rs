//! Eight workers start and push 200 MB each over one link of 50 Mbit/s, with the time limits that programs
//! have: each call takes minutes, and nothing may be sent twice. Needs root and iproute2.

use super::layouts;
use super::slow_link::{Link, SERVER};
use super::{peer::Peer, report};
use anyhow::{Context, bail, ensure};
use futures_util::future::try_join_all;
use ps_client::{Client, ClientConfig, Gradient, ShardMapWatch, Weights};
use ps_core::Layout;
use ps_core::partition::chunk_elements;
use ps_core::settings::Wire;
use ps_proto::v1::data_plane_client::DataPlaneClient;
use ps_proto::{PROTOCOL, v1};
use ps_runtime::Connector;
use ps_tests::bench::server;
use ps_tests::loopback;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const WORKERS: u32 = 8;
const BYTES: usize = 200_000_000;
const RATE: &str = "50mbit";

/// As the programs' own.
const ATTEMPT: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures it, and fails where anything went twice over the link.
pub(crate) fn measure() -> anyhow::Result<()> {
    println!();
    let link = match Link::start(RATE) {
        Ok(link) => link,
        Err(error) => {
            println!("the shaped link is skipped: {error:#}");
            return Ok(());
        }
    };
    let mut server = Peer::start_in(&link.server, &["server", "0", SERVER])?;
    let address = server.line()?;
    let mut crowd = Peer::start_in(&link.worker, &["crowd", &address])?;
    println!("{WORKERS} workers start and push {} MB each over {RATE}", BYTES / 1_000_000);
    // Retries, bytes that the server took in pushes and starts, seconds of both.
    let line = crowd.line()?;
    let figures = line.split(' ').map(str::parse).collect::<Result<Vec<f64>, _>>();
    let [retries, bytes, start_s, push_s] = figures?[..] else { bail!("unexpected {line}") };
    report::single("shaped_start_s", start_s);
    report::single("shaped_push_s", push_s);
    report::single("shaped_retries", retries);
    let once = f64::from(WORKERS + 1) * BYTES as f64;
    report::single("shaped_bytes_over_once", bytes / once);
    ensure!(retries == 0.0 && bytes == once, "{retries} retries, {bytes} bytes, {once} expected");
    Ok(())
}

/// All workers, in one process.
pub(crate) fn crowd(words: &[&str]) -> anyhow::Result<()> {
    let [address] = words else { bail!("unexpected {words:?}") };
    super::runtime()?.block_on(work(address))
}

async fn work(address: &str) -> anyhow::Result<()> {
    let elements = BYTES / size_of::<f32>();
    let mut model = loopback::model_of(layouts::two(elements));
    model.chunk_elements = chunk_elements(elements, 1);
    let layout: Arc<Layout> = Arc::new(model.layout.clone());
    let gradient = Gradient::new(layout, vec![1.0; elements], vec![true, true], 0.0);
    let client = |worker| {
        let shard_map = ShardMapWatch::fixed([address]);
        let defaults = loopback::client_config(address, 1, Wire::default());
        let (patience, attempt) = (PATIENCE, ATTEMPT);
        let config = ClientConfig { worker, shard_map, patience, attempt, ..defaults };
        Client::new(config, &server::outside(Connector::tcp()))
    };
    let clients = (0..WORKERS).map(client).collect::<Result<Vec<_>, _>>()?;
    let begun = Instant::now();
    try_join_all(clients.iter().map(|client| client.init(&model, vec![0.0; elements]))).await?;
    let start_s = begun.elapsed().as_secs_f64();
    let weights = Weights::new(&model);
    let begun = Instant::now();
    try_join_all(clients.iter().map(|client| client.push(&gradient, 1.0, &weights))).await?;
    let push_s = begun.elapsed().as_secs_f64();
    let retries = |client: &Client| client.traffic().retries.load(Ordering::Relaxed);
    let retries: u64 = clients.iter().map(retries).sum();
    let mut calls = DataPlaneClient::new(Connector::tcp().channel(address)?);
    let request = v1::DescribeRequest { job: loopback::JOB.into(), protocol: PROTOCOL };
    let described = calls.describe(request).await?.into_inner();
    let bytes = described.counters.context("no counters")?.bytes_received;
    println!("{retries} {bytes} {start_s} {push_s}");
    Ok(())
}
