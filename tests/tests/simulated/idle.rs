//! Connections on which nothing is said for long, in simulated time.

use ps_client::{Client, ClientConfig, Gradient, Weights};
use ps_core::TensorSpec;
use ps_core::coverage::Coverage;
use ps_core::limits::SMALL_PUSH_BYTES_MAX;
use ps_core::settings::Wire;
use ps_runtime::{Connector, Lanes, Outside, Shutdown};
use ps_server::config::Bounds;
use ps_tests::loopback::{client_config, config, model_of};
use ps_tests::sim::network;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const SERVER: &str = "server:2223";

/// Too many for a call that pushes share, which would hide that its connection is dead.
const ELEMENTS: usize = SMALL_PUSH_BYTES_MAX / 4 + 1;

/// Longer than any timer of the connection.
const LONG: Duration = Duration::from_secs(120);

async fn serve() -> turmoil::Result {
    let (_trigger, shutdown) = Shutdown::new();
    let (incoming, outside) = (network::listen(2223).await?, network::outside(1, |_| ()));
    ps_server::serve::run(
        config(0, Bounds::default()),
        incoming,
        Lanes::Here,
        SERVER.into(),
        outside,
        shutdown,
        Default::default(),
    )
    .await?;
    Ok(())
}

/// A client that counts its connections.
fn client(connections: &Arc<AtomicU32>) -> Client {
    let (counted, connections) = (network::connector(), connections.clone());
    let connector = Connector::new(move |address| {
        connections.fetch_add(1, Ordering::Relaxed);
        let counted = counted.clone();
        Box::pin(async move { counted.connect(address).await })
    });
    let attempt = Duration::from_secs(30);
    let config = ClientConfig { attempt, ..client_config(SERVER, 1, Wire::default()) };
    Client::new(config, &Outside { connector, ..network::outside(2, |_| ()) }).unwrap()
}

/// Pushes, lets `meanwhile` pass, pushes again, at the first attempt and soon: connections opened in
/// all.
fn connections_for_pushes_around(meanwhile: impl AsyncFnOnce() + 'static) -> u32 {
    let mut sim = turmoil::Builder::new()
        .simulation_duration(Duration::from_secs(3600))
        .tick_duration(Duration::from_millis(5))
        .build();
    sim.host("server", serve);
    let (sender, result) = std::sync::mpsc::channel();
    sim.client("worker", async move {
        let connections = Arc::new(AtomicU32::new(0));
        let (client, model) =
            (client(&connections), model_of(vec![TensorSpec::trainable("a", [ELEMENTS])]));
        client.init(&model, &[0.0; ELEMENTS]).await?;
        let mut weights = Weights::new(&model);
        let layout = Arc::new(model.layout.clone());
        let gradient = Gradient::new(layout, vec![1.0; ELEMENTS], vec![true], 0.0);
        client.push(&gradient, 1.0, &weights).await?;
        meanwhile().await;
        let begun = tokio::time::Instant::now();
        weights.set_clock(1);
        client.push(&gradient, 1.0, &weights).await?;
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(client.traffic().retries.load(Ordering::Relaxed), 0);
        client.read(&mut weights).await?;
        assert_eq!(weights.values(), [-2.0; ELEMENTS]);
        sender.send(connections.load(Ordering::Relaxed))?;
        Ok(())
    });
    sim.run().unwrap();
    result.recv().unwrap()
}

#[test]
fn an_idle_connection_survives() {
    let meanwhile = async || tokio::time::sleep(LONG).await;
    assert_eq!(connections_for_pushes_around(meanwhile), 1);
}

/// Nothing tells either side that the other is out of reach but its silence.
#[test]
fn an_idle_connection_that_died_is_replaced_before_it_is_needed() {
    let meanwhile = async || {
        turmoil::partition("server", "worker");
        tokio::time::sleep(LONG).await;
        turmoil::repair("server", "worker");
    };
    assert_eq!(connections_for_pushes_around(meanwhile), 2);
}

/// A gradient that is computed for longer than a server waits for a chunk: the push is made again
/// when all of it is there, and applied once.
#[test]
fn a_gradient_that_takes_long_is_pushed_when_it_is_there() {
    let mut sim = turmoil::Builder::new()
        .simulation_duration(Duration::from_secs(3600))
        .tick_duration(Duration::from_millis(5))
        .build();
    sim.host("server", serve);
    sim.client("worker", async move {
        let client = client(&Arc::default());
        let tensors = ["a", "b"].map(|name| TensorSpec::trainable(name, [ELEMENTS]));
        let model = model_of(tensors.into());
        client.init(&model, vec![0.0; 2 * ELEMENTS]).await?;
        let layout = Arc::new(model.layout.clone());
        let mut weights = Weights::new(&model);
        let gradient = Gradient::begin(layout, vec![Coverage::Whole, Coverage::Whole], 0.0);
        gradient.fill(1, vec![2.0; ELEMENTS]);
        let filling = async {
            tokio::time::sleep(LONG).await;
            gradient.fill(0, vec![1.0; ELEMENTS]);
        };
        let push = client.push_pull(&gradient, 1.0, &mut weights);
        tokio::join!(push, filling).0?;
        assert_eq!(client.traffic().retries.load(Ordering::Relaxed), 1);
        let (a, b) = weights.values().split_at(ELEMENTS);
        assert!(a.iter().all(|value| *value == -1.0) && b.iter().all(|value| *value == -2.0));
        Ok(())
    });
    sim.run().unwrap();
}
