//! Guarantee 10 on real processes and a real disk, for as long as one likes: servers with journals are killed and stopped, the
//! next one a while after something was applied since the last, and every push is counted in the weights.
//!
//! Gradients are ones at rate 1, so that a weight is the number of pushes that it was part of. `PS_CHAOS_S` says for how long
//! (20 s; 300 in `.ci/long`).

use ps_client::{Client, ClientConfig, Gradient, ShardMapWatch, Weights};
use ps_core::TensorSpec;
use ps_core::model_spec::ModelSpec;
use ps_core::settings::Wire;
use ps_runtime::{Connector, Outside, SystemClock};
use ps_tests::loopback::{client_config, model_of};
use ps_tests::process::{Process, alone, job_id, signal, wait_until};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SERVERS: usize = 3;
const WORKERS: u32 = 3;

/// Elements of each worker's own tensor, and of the one that all share.
const ELEMENTS: usize = 3000;

/// Fewer, and it says nothing: a thousand on a machine of two cores, as many as its disk syncs elsewhere.
const PUSHES_PER_S_MIN: f64 = 30.0;

fn model() -> ModelSpec {
    let own = (0..WORKERS).map(|worker| TensorSpec::trainable(format!("own.{worker}"), [ELEMENTS]));
    let tensors = own.chain([TensorSpec::trainable("shared", [ELEMENTS])]).collect();
    ModelSpec { chunk_elements: 256, shards: SERVERS as u32, ..model_of(tensors) }
}

/// Servers that are started again where they were.
struct Servers {
    job: String,
    journal: String,
    running: Vec<Process>,
    addresses: Vec<String>,
}

impl Servers {
    fn start(folder: &Path) -> Self {
        let journal = folder.to_str().unwrap().to_owned();
        let mut servers =
            Self { job: job_id("chaos"), journal, running: Vec::new(), addresses: Vec::new() };
        for shard in 0..SERVERS {
            let server = servers.serve(shard, "127.0.0.1:0");
            let said = server.stdout();
            let address = said.split("listening=").nth(1).unwrap().split(';').next().unwrap();
            servers.addresses.push(address.to_owned());
            servers.running.push(server);
        }
        servers
    }

    fn serve(&self, shard: usize, listen: &str) -> Process {
        let shard = shard.to_string();
        let args = [
            "ps-server",
            "--shard",
            &shard,
            "--listen",
            listen,
            "--durability",
            "wal",
            "--journal",
        ];
        // Dropped, a process takes its whole job along: this one is no part of one.
        let server =
            Process::start("", &[&args[..], &[&self.journal, "--job-id", &self.job]].concat());
        server.wait_for_stdout("listening=", Duration::from_secs(20));
        server
    }

    fn kill(&mut self, shard: usize) {
        signal(self.running[shard].pid(), Signal::KILL);
        self.running[shard].wait(Duration::from_secs(10));
        self.running[shard] = self.serve(shard, &self.addresses[shard]);
    }

    fn stop(&self, shard: usize, time: Duration) {
        signal(self.running[shard].pid(), Signal::STOP);
        std::thread::sleep(time);
        signal(self.running[shard].pid(), Signal::CONT);
    }
}

fn outside(seed: u64) -> Outside {
    let metrics = Arc::new(|_: &str| ());
    Outside { connector: Connector::tcp(), clock: SystemClock::start(), seed, metrics }
}

/// Where the servers are, wherever their processes are.
#[derive(Clone)]
struct Place {
    job: String,
    addresses: Vec<String>,
}

/// Within a runtime.
fn client(place: &Place, worker: u32) -> Client {
    let config = ClientConfig {
        job: place.job.clone(),
        worker,
        shard_map: ShardMapWatch::fixed(place.addresses.iter().map(String::as_str)),
        patience: Duration::from_secs(120),
        ..client_config("", 1, Wire::default())
    };
    Client::new(config, &outside(u64::from(worker))).unwrap()
}

/// Pushes until it is told to end; how many pushes there were, all of them acknowledged.
fn work(place: &Place, worker: u32, pushes: &AtomicU64, ends: &AtomicBool) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (model, client) = (model(), client(place, worker));
        let (layout, elements) = (Arc::new(model.layout.clone()), model.layout.elements());
        client.init(&model, vec![0.0; elements]).await.unwrap();
        let position = |name: &str| layout.position(name).unwrap();
        let mut present = vec![false; layout.tensors().len()];
        present[position(&format!("own.{worker}"))] = true;
        present[position("shared")] = true;
        let gradient = Gradient::new(layout.clone(), vec![1.0; elements], present, 0.0);
        let mut weights = Weights::new(&model);
        let mut clock = 0;
        while !ends.load(Ordering::Relaxed) {
            weights.set_clock(clock);
            client.push(&gradient, 1.0, &weights).await.unwrap();
            clock += 1;
            pushes.fetch_add(1, Ordering::Relaxed);
        }
        clock
    })
}

/// Each weight is the number of pushes that it was part of.
fn check(weights: &[f32], counts: &[u64]) {
    let model = model();
    let all: u64 = counts.iter().sum();
    for (at, tensor) in model.layout.tensors().iter().enumerate() {
        let range = model.layout.range(at);
        let expected = match tensor.name.strip_prefix("own.") {
            Some(worker) => counts[worker.parse::<usize>().unwrap()],
            None => all,
        };
        let wrong = weights[range].iter().position(|it| -*it != expected as f32);
        assert_eq!(wrong, None, "{}: {expected} pushes were acknowledged", tensor.name);
    }
}

#[test]
fn servers_are_killed_and_stopped_and_every_push_counts_once() {
    let _alone = alone();
    let seconds = std::env::var("PS_CHAOS_S").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let folder = tempfile::tempdir().unwrap();
    let mut servers = Servers::start(folder.path());
    let (pushes, ends) = (AtomicU64::new(0), AtomicBool::new(false));
    let place = Place { job: servers.job.clone(), addresses: servers.addresses.clone() };
    let mut random = ChaCha8Rng::seed_from_u64(seconds);
    let (mut kills, mut stops, mut away) = (0, 0, Duration::ZERO);
    let begun = Instant::now();
    let counts: Vec<u64> = std::thread::scope(|scope| {
        let (place, pushes, ends) = (&place, &pushes, &ends);
        let worker = |worker| scope.spawn(move || work(place, worker, pushes, ends));
        let workers: Vec<_> = (0..WORKERS).map(worker).collect();
        while begun.elapsed() < Duration::from_secs(seconds) {
            let before = pushes.load(Ordering::Relaxed);
            let goes_on = || pushes.load(Ordering::Relaxed) > before + u64::from(WORKERS);
            let harmed = Instant::now();
            assert!(wait_until(Duration::from_secs(60), goes_on), "nothing is applied any more");
            away += harmed.elapsed();
            std::thread::sleep(Duration::from_millis(random.random_range(300..2000)));
            let shard = random.random_range(0..SERVERS);
            match random.random_range(0..4) {
                0 => {
                    servers.stop(shard, Duration::from_millis(random.random_range(100..1500)));
                    stops += 1;
                }
                1 => {
                    (0..SERVERS).for_each(|shard| servers.kill(shard));
                    kills += SERVERS;
                }
                _ => {
                    servers.kill(shard);
                    kills += 1;
                }
            }
        }
        ends.store(true, Ordering::Relaxed);
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let took = begun.elapsed();
    let model = model();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut weights = Weights::new(&model);
    runtime.block_on(async { client(&place, 0).read(&mut weights).await }).unwrap();
    let all: u64 = counts.iter().sum();
    println!(
        "chaos_pushes={all}; chaos_kills={kills}; chaos_stops={stops}; chaos_s={:.1};",
        took.as_secs_f64()
    );
    check(weights.values(), &counts);
    let undisturbed = took.saturating_sub(away).as_secs_f64();
    assert!(
        kills > 0 && all as f64 / undisturbed > PUSHES_PER_S_MIN,
        "{all} pushes in {undisturbed} s"
    );
}
