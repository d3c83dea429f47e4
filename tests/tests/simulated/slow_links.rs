//! Links that are slow for what goes over them: a call may take any time in which something moves, and
//! what a server has already is not sent to it again. In simulated time.

use ps_client::{Client, ClientConfig, Gradient, Weights};
use ps_core::TensorSpec;
use ps_core::ids::WorkerId;
use ps_core::settings::Wire;
use ps_runtime::{Connector, Lanes, Outside, Shutdown};
use ps_server::config::Bounds;
use ps_tests::loopback::{client_config, config, model_of};
use ps_tests::sim::network;
use ps_tests::sim::slow::SharedLink;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

const SERVER: &str = "server:2223";

const WORKERS: u32 = 4;

/// What all workers send together, in a second.
const LINK_BYTES_PER_S: u64 = 1024 * 1024;

const ELEMENTS: usize = 4 * 1024 * 1024;

const BYTES: u64 = 4 * ELEMENTS as u64;

async fn serve() -> turmoil::Result {
    let (_trigger, shutdown) = Shutdown::new();
    let (incoming, outside) = (network::listen(2223).await?, network::outside(1, |_| ()));
    let (config, address) = (config(0, Bounds::default()), SERVER.into());
    ps_server::serve::run(
        config,
        incoming,
        Lanes::Here,
        address,
        outside,
        shutdown,
        Default::default(),
    )
    .await?;
    Ok(())
}

/// A worker's client, that gives up an attempt after 10 s in which nothing moves, and a server after 15.
fn client(worker: WorkerId, connector: Connector) -> Client {
    let outside = network::outside(2 + u64::from(worker), |_| ());
    let base = client_config(SERVER, 1, Wire::default());
    let (attempt, patience) = (Duration::from_secs(10), Duration::from_secs(15));
    let config = ClientConfig { worker, attempt, patience, ..base };
    Client::new(config, &Outside { connector, ..outside }).unwrap()
}

fn simulation() -> turmoil::Sim<'static> {
    let mut builder = turmoil::Builder::new();
    builder.tcp_capacity(100_000);
    builder.simulation_duration(Duration::from_secs(3600));
    builder.tick_duration(Duration::from_millis(5)).build()
}

/// Every worker's start takes longer than a server may be away, most wait for others', and each push takes
/// minutes: nothing is sent twice.
#[test]
fn what_takes_long_is_sent_once_while_it_moves() {
    let mut sim = simulation();
    sim.host("server", serve);
    let link = SharedLink::new(LINK_BYTES_PER_S);
    for worker in 0..WORKERS {
        let link = link.clone();
        sim.client(format!("worker-{worker}"), async move {
            let client = client(worker, link.connector(Vec::new()));
            let model = model_of(vec![TensorSpec::trainable("a", [ELEMENTS])]);
            let begun = Instant::now();
            client.init(&model, vec![0.0; ELEMENTS]).await?;
            assert!(begun.elapsed() > Duration::from_secs(15), "{:?}", begun.elapsed());
            let weights = Weights::new(&model);
            let layout = Arc::new(model.layout.clone());
            let gradient = Gradient::new(layout, vec![1.0; ELEMENTS], vec![true], 0.0);
            client.push(&gradient, 1.0, &weights).await?;
            assert!(begun.elapsed() > Duration::from_secs(60), "{:?}", begun.elapsed());
            assert_eq!(client.traffic().retries.load(Ordering::Relaxed), 0);
            let held = client.describe().await?.remove(0).counters.unwrap();
            assert!(held.bytes_received <= (1 + u64::from(WORKERS)) * BYTES);
            Ok(())
        });
    }
    sim.run().unwrap();
}

/// Each attempt goes on where the one before it broke off.
#[test]
fn what_a_server_has_is_not_sent_again() {
    let mut sim = simulation();
    sim.host("server", serve);
    sim.client("worker", async move {
        let link = SharedLink::new(LINK_BYTES_PER_S);
        // The start goes through; then three connections break within the push.
        let third = BYTES as usize / 3;
        let breaks = vec![third, third / 2, BYTES as usize + third];
        let client = client(0, link.connector(breaks));
        let model = model_of(vec![TensorSpec::trainable("a", [ELEMENTS])]);
        client.init(&model, vec![0.0; ELEMENTS]).await?;
        let mut weights = Weights::new(&model);
        let layout = Arc::new(model.layout.clone());
        let gradient = Gradient::new(layout, vec![1.0; ELEMENTS], vec![true], 0.0);
        client.push(&gradient, 1.0, &weights).await?;
        assert_eq!(client.traffic().retries.load(Ordering::Relaxed), 3);
        let held = client.describe().await?.remove(0).counters.unwrap();
        assert_eq!(held.bytes_received, 2 * BYTES, "sent again what was applied");
        client.read(&mut weights).await?;
        assert!(weights.values().iter().all(|weight| *weight == -1.0));
        Ok(())
    });
    sim.run().unwrap();
}

/// What one worker may be left with of a link that others fill, in a second. A server waits longer for a chunk.
const LITTLE_BYTES_PER_S: u64 = 40_000;

/// On the slow link of the long check a worker got a tenth of its share for minutes. Its attempt was given up while what HTTP/2 had
/// taken was on its way: for the last MiB of a call nothing counted as moving.
#[test]
fn regression_what_was_taken_and_is_not_gone_yet_moves() {
    let mut sim = simulation();
    sim.host("server", serve);
    sim.client("worker", async move {
        let link = SharedLink::new(LITTLE_BYTES_PER_S);
        let client = client(0, link.connector(Vec::new()));
        let elements = ELEMENTS / 8;
        let model = model_of(vec![TensorSpec::trainable("a", [elements])]);
        let retries = || client.traffic().retries.load(Ordering::Relaxed);
        let begun = Instant::now();
        client.init(&model, vec![0.0; elements]).await?;
        assert_eq!(retries(), 0, "of the start");
        let weights = Weights::new(&model);
        let gradient =
            Gradient::new(Arc::new(model.layout.clone()), vec![1.0; elements], vec![true], 0.0);
        client.push(&gradient, 1.0, &weights).await?;
        assert_eq!(retries(), 0, "of the push");
        let twice = 2 * 4 * elements as u64;
        assert!(begun.elapsed().as_secs() >= twice / LITTLE_BYTES_PER_S, "{:?}", begun.elapsed());
        let held = client.describe().await?.remove(0).counters.unwrap();
        assert_eq!(held.bytes_received, twice);
        Ok(())
    });
    sim.run().unwrap();
}
