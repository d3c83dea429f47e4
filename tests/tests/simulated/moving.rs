//! Servers that are away and come back, and servers that move: the job goes on by itself, and no push is
//! lost or applied twice.
//!
//! In simulated time: whole jobs whose every push is checked (see `sim::ledger`), and single calls.

use ps_client::{Client, ClientConfig, Gradient, ShardMapWatch, Weights};
use ps_core::TensorSpec;
use ps_core::master::{ShardMap, ShardMapUpdate};
use ps_core::settings::Wire;
use ps_core::shard::Guards;
use ps_runtime::{Lanes, Shutdown};
use ps_server::config::Bounds;
use ps_tests::loopback::{client_config, config, model_of};
use ps_tests::sim::cluster::{LEASE, Outcome, SERVER_AWAY, Scenario};
use ps_tests::sim::faults::{Event, Weather};
use ps_tests::sim::ledger::Shape;
use ps_tests::sim::{managed, moving, network, seeds};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

const SEEDS: u64 = 30;

const SAMPLES: u64 = 600;
const PASSES: u64 = 2;

fn scenario(seed: u64, script: Vec<(Duration, Event)>) -> Scenario {
    Scenario {
        seed,
        servers: 2,
        shape: Shape { hosts: 3, pushes_max: 900, stride: 16, samples: SAMPLES, state: 0 },
        passes: PASSES,
        batch_size: 2,
        bound: [None, Some(0), Some(4)][(seed % 3) as usize],
        depth: [1, 0, 2][(seed % 3) as usize],
        weather: Weather::FAIR,
        script,
        guards: Guards::ALL,
        lives: true,
        wire: Wire::default(),
        journal: None,
        state_lags_by: 0,
        servers_go_back: false,
        longest: Duration::from_secs(120),
    }
}

/// Everybody that speaks to a server.
fn others() -> impl Iterator<Item = String> {
    let workers = (0..3).map(|host| format!("worker{host}"));
    workers.chain(["master".to_owned(), "evaluator".to_owned()])
}

/// For this long nothing passes between a server and anybody else: it is lost, or kept as by a process that
/// stands still.
fn silence(server: &str, from: Duration, to: Duration, is_kept: bool) -> Vec<(Duration, Event)> {
    let both = |other: String| {
        let (a, b) = (server.to_owned(), other);
        match is_kept {
            true => [(from, Event::Hold(a.clone(), b.clone())), (to, Event::Release(a, b))],
            false => [(from, Event::Partition(a.clone(), b.clone())), (to, Event::Repair(a, b))],
        }
    };
    others().flat_map(both).collect()
}

/// The job ended well, and every sample of every pass is in an acknowledged push.
fn assert_went_on(outcome: &Outcome) {
    let seed = outcome.seed;
    let names = ["master", "server0", "server1", "worker0", "worker1", "worker2", "evaluator"];
    for name in names {
        assert_eq!(outcome.result(name), &Ok(0), "seed {seed}: {name}");
    }
    let wanted = (SAMPLES * PASSES / 2) as usize;
    assert_eq!(outcome.violation, None, "seed {seed}");
    assert!(outcome.acknowledged >= wanted, "seed {seed}: {} acknowledged", outcome.acknowledged);
}

#[test]
fn a_server_that_is_cut_off_for_longer_than_its_lease_comes_back_and_the_job_goes_on() {
    let outcomes = seeds::run_all(seeds::wanted(SEEDS), |seed| {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0xa4a7);
        let from = Duration::from_millis(random.random_range(300..2000));
        // The master must hear of it again before its time is over.
        let to = from + random.random_range(LEASE + LEASE / 4..SERVER_AWAY - LEASE / 3);
        let server = format!("server{}", seed % 2);
        let outcome = managed::run(&scenario(seed, silence(&server, from, to, seed % 4 >= 2)));
        assert_went_on(&outcome);
        assert!(outcome.ended("master") > to, "seed {seed}: over before the server was back");
        outcome
    });
    let (pushes, acknowledged): (usize, usize) =
        outcomes.iter().fold((0, 0), |(p, a), o| (p + o.pushes, a + o.acknowledged));
    let duplicates: u64 = outcomes.iter().map(|outcome| outcome.duplicates).sum();
    println!("{pushes} pushes, {acknowledged} acknowledged, {duplicates} came again when applied");
    assert_eq!(pushes, acknowledged, "somebody lost its lease for waiting");
}

#[test]
fn a_server_that_stays_away_fails_the_job_when_its_time_is_over() {
    let from = Duration::from_millis(1500);
    let outcome =
        managed::run(&scenario(5, silence("server1", from, Duration::from_secs(90), false)));
    for name in ["master", "server0", "worker0", "worker1", "worker2"] {
        let Err(error) = outcome.result(name) else { panic!("{name} ended well") };
        let reason = "server shard 1 at server1:2223 was silent for 9s; its weights are lost";
        assert!(error.contains(reason), "{name}: {error}");
        let (ended, over) = (outcome.ended(name), from + SERVER_AWAY);
        assert!(ended + LEASE / 3 > over && ended < over + LEASE, "{name} ended at {ended:?}");
    }
    // It heard of nobody, and waited for its master as long as that one for it.
    let Err(error) = outcome.result("server1") else { panic!("it ended well") };
    assert!(error.contains("master at master:2222 is lost"), "{error}");
    assert!(outcome.ended("server1") >= from + SERVER_AWAY - LEASE / 3);
}

#[test]
fn a_server_moves_in_the_middle_of_pushes_and_they_go_on_there() {
    let outcomes = seeds::run_all(seeds::wanted(SEEDS), |seed| {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x3077e);
        // So slow that many pushes are under way at each move: those that come after it are of an older epoch.
        let mut script = Vec::new();
        for link in
            (0..6).map(|link| (format!("worker{}", link / 2), format!("server{}", link % 2)))
        {
            script.push((Duration::ZERO, Event::Slow(link.0, link.1, Duration::from_millis(25))));
        }
        for port in 2224..2224 + 3 {
            let at = Duration::from_millis(random.random_range(300..2000));
            script.push((at, Event::Move(format!("server{}", random.random_range(0..2)), port)));
        }
        script.sort_by_key(|(at, _)| *at);
        let last = script[script.len() - 1].0;
        let outcome = managed::run(&scenario(seed, script));
        assert_went_on(&outcome);
        assert!(outcome.ended("master") > last, "seed {seed}: over before the last move");
        outcome
    });
    let duplicates: u64 = outcomes.iter().map(|outcome| outcome.duplicates).sum();
    let (pushes, fenced): (usize, u64) =
        outcomes.iter().fold((0, 0), |(p, f), o| (p + o.pushes, f + o.fenced));
    println!("{pushes} pushes, {duplicates} came again when applied, {fenced} of an older epoch");
    assert!(outcomes.len() < SEEDS as usize || fenced > 0, "nobody moved within a push");
}

#[test]
fn a_server_moves_while_it_is_away() {
    seeds::run_all(seeds::wanted(4), |seed| {
        let (from, to) = (Duration::from_millis(900), Duration::from_millis(900) + LEASE * 2);
        let mut script = silence("server1", from, to, seed % 2 == 0);
        script.push((from + LEASE, Event::Move("server1".into(), 2224)));
        script.sort_by_key(|(at, _)| *at);
        let outcome = managed::run(&scenario(seed, script));
        assert_went_on(&outcome);
        outcome
    });
}

const SERVER: [&str; 2] = ["server:2223", "server:2224"];

/// A server without a master that goes where it is told.
async fn serve(address: watch::Receiver<String>) -> turmoil::Result {
    let (_trigger, shutdown) = Shutdown::new();
    let incoming = moving::listen(address).await?;
    let (config, outside) = (config(0, Bounds::default()), network::outside(1, |_| ()));
    let address = SERVER[0].into();
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

fn map(address: &str) -> ShardMapUpdate {
    let map = ShardMap { addresses: vec![address.into()], ..ShardMap::default() };
    ShardMapUpdate { revision: 1, map, away: Vec::new() }
}

/// A client that would be patient for hours: what goes on sooner was told where to go.
fn client(updates: watch::Receiver<ShardMapUpdate>) -> Client {
    let hour = Duration::from_secs(3600);
    let config = ClientConfig {
        shard_map: ShardMapWatch::new(updates),
        attempt: hour,
        patience: hour,
        ..client_config("", 1, Wire::default())
    };
    Client::new(config, &network::outside(2, |_| ())).unwrap()
}

/// A server at the first address, and a worker that is given what moves the server, and what tells the client.
fn simulate<F>(work: impl FnOnce(watch::Sender<String>, watch::Sender<ShardMapUpdate>) -> F)
where
    F: Future<Output = turmoil::Result> + 'static,
{
    let mut builder = turmoil::Builder::new();
    builder.tcp_capacity(100_000).tick_duration(Duration::from_millis(5));
    builder.simulation_duration(Duration::from_secs(3600));
    // So slow that a push takes a while: a window each way and back.
    builder.min_message_latency(Duration::from_millis(200));
    builder.max_message_latency(Duration::from_millis(210));
    let mut sim = builder.build();
    let place = watch::Sender::new(SERVER[0].to_owned());
    let address = place.subscribe();
    sim.host("server", move || serve(address.clone()));
    sim.client("worker", work(place, watch::Sender::new(map(SERVER[0]))));
    sim.run().unwrap();
}

/// The attempt under way is given up, and the same push goes on at the new address with what is missing
/// there.
#[test]
fn a_large_push_goes_on_at_the_new_address_with_what_is_missing() {
    const ELEMENTS: usize = 4 * 1024 * 1024;
    const BYTES: u64 = 4 * ELEMENTS as u64;
    simulate(|place, updates| async move {
        let client = client(updates.subscribe());
        let model = model_of(vec![TensorSpec::trainable("a", [ELEMENTS])]);
        client.init(&model, vec![0.0; ELEMENTS]).await?;
        let mut weights = Weights::new(&model);
        let gradient =
            Gradient::new(Arc::new(model.layout.clone()), vec![1.0; ELEMENTS], vec![true], 0.0);
        let begun = Instant::now();
        let moves = async {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            place.send_replace(SERVER[1].into());
            tokio::time::sleep(Duration::from_secs(5)).await;
            updates.send_replace(map(SERVER[1]));
        };
        let (pushed, ()) = tokio::join!(client.push(&gradient, 1.0, &weights), moves);
        assert_eq!(pushed?.chunks_refused, 0);
        assert!(begun.elapsed() > Duration::from_secs(6), "it was over before the move");
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        assert_eq!(client.traffic().retries.load(Ordering::Relaxed), 1);
        let held = client.describe().await?.remove(0).counters.unwrap();
        assert_eq!((held.pushes_applied, held.pushes_duplicate, held.pushes_torn), (1, 0, 0));
        let again = held.bytes_received - 2 * BYTES;
        assert!(again < BYTES / 4, "{again} bytes were sent to it twice");
        client.read(&mut weights).await?;
        assert!(weights.values().iter().all(|weight| *weight == -1.0));
        Ok(())
    });
}

/// Small pushes share a call, which is open when nothing is under way, too.
#[test]
fn small_pushes_go_on_at_the_new_address() {
    simulate(|place, updates| async move {
        let client = client(updates.subscribe());
        let model = model_of(vec![TensorSpec::trainable("a", [8])]);
        client.init(&model, vec![0.0; 8]).await?;
        let mut weights = Weights::new(&model);
        let layout = Arc::new(model.layout.clone());
        let gradient = Gradient::new(layout, vec![1.0; 8], vec![true], 0.0);
        client.push(&gradient, 1.0, &weights).await?;
        // Between two pushes.
        place.send_replace(SERVER[1].into());
        updates.send_replace(map(SERVER[1]));
        weights.set_clock(1);
        client.push(&gradient, 1.0, &weights).await?;
        // In the middle of one.
        place.send_replace(SERVER[0].into());
        weights.set_clock(2);
        let told = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            updates.send_replace(map(SERVER[0]));
        };
        let begun = Instant::now();
        let (pushed, ()) = tokio::join!(client.push(&gradient, 1.0, &weights), told);
        pushed?;
        // No keepalive has found the connection dead by then.
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
        client.read(&mut weights).await?;
        assert_eq!(weights.values(), [-3.0; 8]);
        Ok(())
    });
}

/// Who waits before the next attempt, at an address where nobody is, does not wait to the end.
#[test]
fn a_call_to_where_nobody_is_goes_on_where_the_server_is_said_to_be() {
    simulate(|_place, updates| async move {
        updates.send_replace(map("server:9"));
        let client = client(updates.subscribe());
        let begun = Instant::now();
        let told = async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            updates.send_replace(map(SERVER[0]));
        };
        let (described, ()) = tokio::join!(client.describe(), told);
        assert_eq!(described?.len(), 1);
        assert!(begun.elapsed() < Duration::from_secs(33), "{:?}", begun.elapsed());
        assert!(client.traffic().retries.load(Ordering::Relaxed) > 5);
        Ok(())
    });
}
