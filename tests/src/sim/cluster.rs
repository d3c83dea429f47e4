//! One simulated run: a cluster, its weather, and what came of it.

use super::faults::{self, Weather};
use super::ledger::{Ledger, Shape};
use super::network;
use ps_core::optimizer::{Correction, Optimizer};
use ps_core::schedule::LearningRate;
use ps_core::settings::TrainingSettings;
use ps_runtime::Shutdown;
use ps_server::config::Config as ServerConfig;
use ps_worker::client::{Client, ClientConfig, Weights};
use ps_worker::compute::{ComputeOn, Evaluation};
use ps_worker::train::alone::{self, AloneConfig, Observer};
use ps_worker::train::{Counters, StepOutcome};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Port of every simulated server.
pub const SERVER_PORT: u16 = 2223;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Decides everything.
    pub seed: u64,
    /// Number of servers.
    pub servers: u32,
    /// The job's size.
    pub shape: Shape,
    /// Passes over the samples.
    pub passes: u64,
    /// Samples of a step.
    pub batch_size: u64,
    /// Steps a worker may be ahead.
    pub bound: Option<u64>,
    /// What goes wrong.
    pub weather: Weather,
    /// What goes wrong at a time of its own, beside the weather.
    pub script: Vec<(Duration, faults::Event)>,
    /// Whether the servers deduplicate pushes.
    pub dedup: bool,
    /// Virtual time after which a run that has not ended is a hang.
    pub longest: Duration,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Of which run.
    pub seed: u64,
    /// The first element of the final weights that is wrong.
    pub violation: Option<String>,
    /// Pushes computed.
    pub pushes: usize,
    /// Pushes known to be acknowledged.
    pub acknowledged: usize,
    /// Pushes that reached a server again after they were finished.
    pub duplicates: u64,
    /// Largest number of steps that a worker was ahead of another that had not ended.
    pub gap: u64,
    /// When each worker ended.
    pub ended: Vec<Option<Duration>>,
    /// Pushes left unfinished by a superseded worker.
    pub torn: u64,
    /// Everything that happened, in order, with its virtual time.
    pub trace: Vec<String>,
}

/// The books that simulated hosts write to.
#[derive(Clone, Default)]
pub struct Books {
    trace: Arc<Mutex<Vec<String>>>,
    running: Arc<Mutex<Vec<bool>>>,
    results: Arc<Mutex<Vec<Result<u8, String>>>>,
    ended: Arc<Mutex<Vec<Option<Duration>>>>,
    steps: Arc<Mutex<Vec<u64>>>,
    gap: Arc<Mutex<u64>>,
}

impl Books {
    /// Counts a step, and how far it is ahead of the slowest worker that has not ended.
    fn stepped(&self, host: usize) {
        let mut steps = lock(&self.steps);
        steps[host] += 1;
        let ended = lock(&self.ended);
        let others = steps
            .iter()
            .zip(ended.iter())
            .filter(|(_, ended)| ended.is_none());
        let slowest = others.map(|(steps, _)| *steps).min().unwrap_or(0);
        let mut gap = lock(&self.gap);
        *gap = (*gap).max(steps[host].saturating_sub(slowest));
    }

    /// Writes down that something happened now.
    pub fn note(&self, what: impl Into<String>) {
        let now = turmoil::sim_elapsed().unwrap_or_default().as_micros();
        lock(&self.trace).push(format!("{now} {}", what.into()));
    }
}

/// Locks a mutex that a panicking test may have poisoned.
pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Scenario {
    fn settings(&self) -> TrainingSettings {
        TrainingSettings {
            optimizer: Optimizer::parse("sgd", None, None).unwrap_or_else(|e| panic!("{e}")),
            learning_rate: LearningRate::constant(1.0),
            staleness_correction: Correction::None,
            staleness_bound: self.bound,
            clip_norm: None,
            passes: self.passes,
            batch_size: self.batch_size,
            seed: self.seed,
        }
    }

    fn server_addresses(&self) -> Vec<String> {
        (0..self.servers)
            .map(|shard| format!("server{shard}:{SERVER_PORT}"))
            .collect()
    }
}

/// Simulates servers and workers without a master.
///
/// # Panics
/// The run does not end in its time.
pub fn run_alone(scenario: &Scenario) -> Outcome {
    let mut builder = turmoil::Builder::new();
    let mut sim = builder
        .rng_seed(scenario.seed)
        .simulation_duration(scenario.longest * 2)
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_micros(200))
        .max_message_latency(Duration::from_millis(20))
        .tcp_capacity(4096)
        .build();
    let books = Books::default();
    let ledger = Ledger::new(scenario.shape);
    lock(&books.running).resize(scenario.shape.hosts, true);
    lock(&books.ended).resize(scenario.shape.hosts, None);
    lock(&books.steps).resize(scenario.shape.hosts, 0);
    for shard in 0..scenario.servers {
        let config = ServerConfig {
            job: "sim".into(),
            shard,
            listen: String::new(),
            advertise: None,
            master: None,
            lease: Duration::from_secs(3),
            dedup: scenario.dedup,
        };
        sim.host(format!("server{shard}"), move || serve(config.clone()));
    }
    let mortals: Vec<String> = (0..scenario.shape.hosts)
        .map(|host| format!("worker{host}"))
        .collect();
    for (host, name) in mortals.iter().enumerate() {
        let (scenario, ledger, books) = (scenario.clone(), ledger.clone(), books.clone());
        sim.host(name.as_str(), move || {
            work(scenario.clone(), ledger.clone(), books.clone(), host)
        });
    }
    let links: Vec<(String, String)> = mortals
        .iter()
        .flat_map(|w| (0..scenario.servers).map(move |s| (w.clone(), format!("server{s}"))))
        .collect();
    let mut events = faults::plan(scenario.seed, &scenario.weather, &links, &mortals);
    events.extend(scenario.script.iter().cloned());
    events.sort_by_key(|(at, _)| *at);
    weather(&mut sim, scenario, &books, &events);
    check(&mut sim, scenario, &books, &ledger)
}

async fn serve(config: ServerConfig) -> turmoil::Result {
    let incoming = network::listen(SERVER_PORT).await?;
    let address = format!("server{}:{SERVER_PORT}", config.shard);
    let seed = u64::from(config.shard);
    let (_trigger, shutdown) = Shutdown::new();
    let outside = network::outside(seed, |_| ());
    ps_server::serve::run(config, incoming, address, outside, shutdown).await?;
    Ok(())
}

async fn work(scenario: Scenario, ledger: Ledger, books: Books, host: usize) -> turmoil::Result {
    lock(&books.running)[host] = true;
    let counters = Arc::new(Counters::default());
    let config = AloneConfig {
        job: "sim".into(),
        servers: scenario.server_addresses(),
        index: host as u32,
        workers: scenario.shape.hosts as u32,
        settings: scenario.settings(),
        attempt: Duration::from_millis(700),
        patience: Duration::from_secs(60),
        alive_interval: Duration::from_millis(500),
        compute_on: ComputeOn::Task,
    };
    let (_trigger, shutdown) = Shutdown::new();
    let compute = ledger.compute(host, counters.clone());
    let seed = scenario.seed ^ (host as u64) << 32;
    let outside = network::outside(seed, |_| ());
    let mut observer = Notes {
        books: books.clone(),
        host,
    };
    let ended = alone::run(config, compute, counters, &mut observer, outside, shutdown).await;
    books.note(format!(
        "worker{host} ended: {:?}",
        ended.as_ref().map(|end| end.exit_code)
    ));
    lock(&books.results).push(
        ended
            .map(|end| end.exit_code)
            .map_err(|error| error.to_string()),
    );
    lock(&books.running)[host] = false;
    lock(&books.ended)[host] = turmoil::sim_elapsed();
    Ok(())
}

struct Notes {
    books: Books,
    host: usize,
}

impl Observer for Notes {
    fn stepped(&mut self, outcome: &StepOutcome, done: u64, _total: u64) -> Result<(), String> {
        self.books.stepped(self.host);
        let staleness = outcome.report.staleness;
        self.books.note(format!(
            "worker{} did {done}, staleness {staleness}",
            self.host
        ));
        Ok(())
    }

    fn passed(&mut self, pass: u64, evaluation: &Evaluation) -> Result<(), String> {
        self.books.note(format!(
            "worker{} passed {pass}, loss {}",
            self.host, evaluation.loss
        ));
        Ok(())
    }
}

/// Steps the simulation through its faults until every worker has ended or is dead for good.
fn weather(
    sim: &mut turmoil::Sim<'_>,
    scenario: &Scenario,
    books: &Books,
    events: &[(Duration, faults::Event)],
) {
    let mut events = events.iter().peekable();
    loop {
        while let Some((_, event)) = events.next_if(|(at, _)| *at <= sim.elapsed()) {
            lock(&books.trace).push(format!("{} {event:?}", sim.elapsed().as_micros()));
            if let faults::Event::Crash(name) = event {
                let host = name
                    .trim_start_matches("worker")
                    .parse::<usize>()
                    .unwrap_or(0);
                lock(&books.running)[host] = false;
            }
            faults::apply(sim, event);
        }
        let running = lock(&books.running).iter().any(|running| *running);
        if events.peek().is_none() && !running {
            return;
        }
        let seed = scenario.seed;
        assert!(
            sim.elapsed() < scenario.longest,
            "seed {seed}: hangs; last:\n{}",
            tail(books).join("\n")
        );
        sim.step()
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

fn tail(books: &Books) -> Vec<String> {
    let trace = lock(&books.trace);
    trace[trace.len().saturating_sub(60)..].to_vec()
}

/// What the checker reads from the servers.
#[derive(Default)]
struct Found {
    weights: Vec<f32>,
    duplicates: u64,
    torn: u64,
}

/// Reads the final weights and compares them with the books.
fn check(
    sim: &mut turmoil::Sim<'_>,
    scenario: &Scenario,
    books: &Books,
    ledger: &Ledger,
) -> Outcome {
    let found: Arc<Mutex<Option<Found>>> = Arc::default();
    let result = found.clone();
    let (addresses, layout) = (scenario.server_addresses(), ledger.layout());
    let spec = scenario.settings().model_spec(&layout, scenario.servers);
    sim.client("checker", async move {
        let config = ClientConfig {
            job: "sim".into(),
            worker: 999,
            incarnation: 1,
            epoch: 0,
            addresses,
            patience: Duration::from_secs(30),
            attempt: Duration::from_secs(5),
        };
        let client = Client::new(config, &network::outside(7, |_| ()))?;
        let mut weights = Weights::new(&spec);
        client.read(&mut weights).await?;
        let counters: Vec<_> = client
            .describe()
            .await?
            .into_iter()
            .filter_map(|shard| shard.counters)
            .collect();
        let duplicates = counters.iter().map(|shard| shard.pushes_duplicate).sum();
        let torn = counters.iter().map(|shard| shard.pushes_torn).sum();
        let weights = weights.into_values();
        *lock(&result) = Some(Found {
            weights,
            duplicates,
            torn,
        });
        Ok(())
    });
    while lock(&found).is_none() {
        sim.step()
            .unwrap_or_else(|error| panic!("seed {}: {error}", scenario.seed));
    }
    let Found {
        weights,
        duplicates,
        torn,
    } = lock(&found).take().unwrap_or_default();
    let (pushes, acknowledged) = ledger.pushes();
    let mut trace = std::mem::take(&mut *lock(&books.trace));
    trace.push(format!("{duplicates} duplicates, {torn} torn"));
    trace.push(format!(
        "weights {:#010x}",
        crc32fast::hash(&bytes(&weights))
    ));
    Outcome {
        seed: scenario.seed,
        violation: ledger
            .check(&weights)
            .err()
            .map(|violation| format!("{violation:?}")),
        pushes,
        acknowledged,
        duplicates,
        gap: *lock(&books.gap),
        ended: lock(&books.ended).clone(),
        torn,
        trace,
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}
