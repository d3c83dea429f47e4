//! Servers and workers without a master.

use super::books::{Books, SERVER_PORT};
use super::cluster::{Final, LEASE, Outcome, Scenario};
use super::ledger::Ledger;
use super::lock::lock;
use super::network;
use ps_client::{CallOptions, HeartbeatConfig, SessionConfig};
use ps_client::{Client, ClientConfig, Counters, ShardMapWatch, StepOutcome, Weights};
use ps_core::settings::Wire;
use ps_runtime::{Lanes, Shutdown};
use ps_server::config::Config as ServerConfig;
use ps_worker::compute::ComputeOn;
use ps_worker::train::DataLoader;
use ps_worker::train::Evaluated;
use ps_worker::train::alone::{self, AloneConfig, Observer};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Simulates servers and workers without a master.
///
/// # Panics
/// The run does not end in its time.
pub fn run(scenario: &Scenario) -> Outcome {
    let mut sim = scenario.network();
    let books = Books::default();
    let ledger = Ledger::new(scenario.shape);
    for (shard, name) in (0..).zip(scenario.server_names()) {
        let config = scenario.server_config(shard, None);
        sim.host(name, move || serve(config.clone()));
    }
    for (host, name) in scenario.worker_names().into_iter().enumerate() {
        books.expect(&name);
        let (scenario, ledger, books) = (scenario.clone(), ledger.clone(), books.clone());
        sim.host(name, move || work(scenario.clone(), ledger.clone(), books.clone(), host));
    }
    let workers = scenario.worker_names();
    let pairs = workers
        .iter()
        .flat_map(|worker| scenario.server_names().map(move |server| (worker.clone(), server)));
    scenario.play(&mut sim, &books, &pairs.collect::<Vec<_>>());
    let last = read_servers(&mut sim, scenario, &ledger);
    books.outcome(scenario, &ledger, &last)
}

async fn serve(config: ServerConfig) -> turmoil::Result {
    let incoming = network::listen(SERVER_PORT).await?;
    let address = format!("server{}:{SERVER_PORT}", config.shard);
    let outside = network::outside(u64::from(config.shard), |_| ());
    let (_trigger, shutdown) = Shutdown::new();
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

async fn work(scenario: Scenario, ledger: Ledger, books: Books, host: usize) -> turmoil::Result {
    let name = format!("worker{host}");
    let counters = Arc::new(Counters::default());
    let settings = scenario.settings();
    let session = SessionConfig {
        job: "sim".into(),
        worker: host as u32,
        identity: None,
        servers: scenario.server_addresses(),
        calls: CallOptions {
            attempt: Duration::from_millis(700),
            patience: Duration::from_secs(60),
            wire: settings.wire,
        },
        heartbeat: HeartbeatConfig { interval: LEASE / 6, step_timeout: LEASE },
    };
    let (sharing, loader) = (scenario.shape.hosts as u32, DataLoader::default());
    let compute_on = ComputeOn::Task;
    let config = AloneConfig { session, sharing, settings, compute_on, loader };
    let (_trigger, shutdown) = Shutdown::new();
    let compute = ledger.compute(host, scenario.depth, counters.clone());
    let outside = network::outside(scenario.seed ^ (host as u64) << 32, |_| ());
    let mut notes = Notes { books: books.clone(), name: name.clone() };
    let ended = alone::run(config, compute, counters, &mut notes, outside, shutdown).await;
    books.ended(&name, ended.map(|end| end.exit_code).map_err(|error| error.to_string()));
    Ok(())
}

struct Notes {
    books: Books,
    name: String,
}

impl Observer for Notes {
    fn stepped(&mut self, outcome: &StepOutcome, done: u64, _total: u64) -> Result<(), String> {
        self.books.stepped(&self.name);
        let staleness = outcome.report.staleness;
        self.books.note(format!("{} did {done}, staleness {staleness}", self.name));
        Ok(())
    }

    fn passed(&mut self, pass: u64, evaluated: &Evaluated) -> Result<(), String> {
        let loss = evaluated.test.as_ref().map_or(f64::NAN, |test| test.loss);
        self.books.note(format!("{} passed {pass}, loss {loss}", self.name));
        Ok(())
    }
}

/// Reads the final weights and counts from the servers.
fn read_servers(sim: &mut turmoil::Sim<'_>, scenario: &Scenario, ledger: &Ledger) -> Final {
    let found: Arc<Mutex<Option<Final>>> = Arc::default();
    let result = found.clone();
    let addresses = scenario.server_addresses();
    let spec = scenario.settings().model_spec(&ledger.layout(), scenario.servers);
    sim.client("checker", async move {
        let config = ClientConfig {
            job: "sim".into(),
            worker: 999,
            incarnation: 1,
            shard_map: ShardMapWatch::fixed(addresses),
            patience: Duration::from_secs(30),
            attempt: Duration::from_secs(5),
            wire: Wire::default(),
        };
        let client = Client::new(config, &network::outside(7, |_| ()))?;
        let mut weights = Weights::new(&spec);
        client.read(&mut weights).await?;
        let mut last = Final { weights: weights.into_values(), ..Final::default() };
        for counters in client.describe().await?.into_iter().filter_map(|shard| shard.counters) {
            last.duplicates += counters.pushes_duplicate;
            last.torn += counters.pushes_torn;
            last.fenced += counters.calls_fenced;
        }
        *lock(&result) = Some(last);
        Ok(())
    });
    while lock(&found).is_none() {
        sim.step().unwrap_or_else(|error| panic!("seed {}: {error}", scenario.seed));
    }
    let last = lock(&found).take();
    last.unwrap_or_default()
}
