//! The whole cluster: master, servers, evaluator and workers.

use super::books::{Books, SERVER_PORT};
use super::cluster::{Final, LEASE, Outcome, SERVER_AWAY, Scenario};
use super::lagging::LaggingDisk;
use super::ledger::Ledger;
use super::shares::{Book, Data, EVALUATOR};
use super::{moving, network};
use ps_client::Counters;
use ps_core::Layout;
use ps_core::checkpoint::{Assembly, File, Manifest, RestoredShard, StoredShard, names};
use ps_core::chunk::Chunk;
use ps_core::model_file::MODEL_FILE;
use ps_core::model_spec::ModelSpec;
use ps_master::MasterFiles;
use ps_proto::v1;
use ps_runtime::files::{FileStore, Files, SimulatedDisk};
use ps_runtime::{Lanes, Shutdown};
use ps_server::config::Config as ServerConfig;
use ps_server::serve::ServerFiles;
use ps_worker::compute::ComputeOn;
use ps_worker::train::WorkerConfig;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const MASTER: &str = "master";
const MASTER_PORT: u16 = 2222;
const MASTER_ADDRESS: &str = "master:2222";

/// A run, and what it did with the samples.
pub struct Ran {
    /// As of every run.
    pub outcome: Outcome,
    /// Which samples were trained on.
    pub book: Book,
    /// What the master wrote.
    pub report: serde_json::Value,
    /// Of the model that the master wrote; empty without one.
    pub weights: Vec<f32>,
    /// The weights of each complete checkpoint, as they were when a life of the job ended in the run.
    pub saved: Option<BTreeMap<u64, Vec<f32>>>,
}

impl Ran {
    /// What is wrong with what lives that are over left in the model: all that may be there of them is
    /// what the last life restored.
    pub fn over(&self, ledger: &Ledger) -> Option<String> {
        let saved = self.saved.as_ref()?;
        let restored = self.report["resumed"]["checkpoint"].as_u64();
        let nothing = vec![0.0; self.weights.len()];
        let restored = restored.map_or(&nothing, |number| &saved[&number]);
        ledger.check_over(&self.weights, restored).err()
    }
}

/// Simulates a whole job whose workers all have the same samples.
///
/// # Panics
/// The run does not end in its time.
pub fn run(scenario: &Scenario) -> Outcome {
    run_with(scenario, &Data::Replicated).outcome
}

/// Simulates a whole job on these data.
///
/// # Panics
/// The run does not end in its time.
pub fn run_with(scenario: &Scenario, data: &Data) -> Ran {
    live(scenario, data, &Ledger::new(scenario.shape), None, Duration::MAX)
}

/// Simulates a whole job that writes checkpoints, to a folder that outlives its hosts.
///
/// # Panics
/// The run does not end in its time.
pub fn run_with_checkpoints(scenario: &Scenario) -> Outcome {
    let (ledger, folder) = (Ledger::new(scenario.shape), SimulatedDisk::default());
    live(scenario, &Data::Replicated, &ledger, Some(&folder), Duration::MAX).outcome
}

/// Simulates one life of a job that has a folder for checkpoints; its whole cluster dies at `end`.
///
/// # Panics
/// The run does not end in its time.
pub fn live(
    scenario: &Scenario,
    data: &Data,
    ledger: &Ledger,
    folder: Option<&SimulatedDisk>,
    end: Duration,
) -> Ran {
    let book = Book::default();
    let mut sim = scenario.network();
    let books = Books::default();
    let files = SimulatedDisk::default();
    let mut saved = None;
    let life_ends = || {
        ledger.end_life();
        saved = Some(folder.map(saved_weights).unwrap_or_default());
    };
    let checkpoints = folder.map(|folder| Arc::new(folder.clone()) as Files);
    books.expect(MASTER);
    let (config, notes, written) = (scenario.clone(), books.clone(), files.clone());
    let kept = checkpoints.clone();
    sim.host(MASTER, move || lead(config.clone(), notes.clone(), written.clone(), kept.clone()));
    for (shard, name) in (0..).zip(scenario.server_names()) {
        books.expect(&name);
        let (config, notes, kept) = (scenario.clone(), books.clone(), checkpoints.clone());
        let (ledger, starts) = (ledger.clone(), AtomicU64::new(0));
        sim.host(name, move || {
            let goes_back = config.servers_go_back && starts.fetch_add(1, Ordering::Relaxed) > 0;
            if goes_back {
                let layout = ledger.layout();
                let spec = config.settings().model_spec(&layout, config.servers);
                ledger.goes_back(shard, spec.partition().range(shard));
            }
            serve(config.clone(), notes.clone(), (shard, goes_back), kept.clone())
        });
    }
    let workers = scenario.worker_names();
    let trainers = workers.iter().cloned().map(Some).enumerate();
    for (host, name) in trainers.chain([(0, None)]) {
        let role = if name.is_some() { v1::Role::Worker } else { v1::Role::Evaluator };
        let name = name.unwrap_or_else(|| EVALUATOR.to_owned());
        books.expect(&name);
        let member = Member {
            scenario: scenario.clone(),
            data: data.clone(),
            ledger: ledger.clone(),
            books: books.clone(),
            book: book.clone(),
            name: name.clone(),
            host,
            role,
        };
        sim.host(name, move || work(member.clone()));
    }
    scenario.play_until(&mut sim, &books, &links(scenario, data), end, life_ends);
    let last = read_files(&files, &ledger.layout());
    let report = files.content(ps_master::REPORT_FILE).unwrap_or_default();
    let report = serde_json::from_slice(&report).unwrap_or_default();
    let outcome = books.outcome(scenario, ledger, &last);
    Ran { outcome, book, report, weights: last.weights, saved }
}

/// A worker or the evaluator.
#[derive(Clone)]
struct Member {
    scenario: Scenario,
    data: Data,
    ledger: Ledger,
    books: Books,
    book: Book,
    name: String,
    host: usize,
    role: v1::Role,
}

/// Everything that talks to each other.
fn links(scenario: &Scenario, data: &Data) -> Vec<(String, String)> {
    let mut links = Vec::new();
    for server in scenario.server_names() {
        links.push((MASTER.to_owned(), server.clone()));
        links.extend(scenario.worker_names().into_iter().map(|worker| (worker, server.clone())));
    }
    links.extend(scenario.worker_names().into_iter().map(|worker| (worker, MASTER.to_owned())));
    if *data != Data::Replicated {
        let evaluator = || EVALUATOR.to_owned();
        links.extend(scenario.worker_names().into_iter().map(|worker| (worker, evaluator())));
    }
    links
}

async fn lead(
    scenario: Scenario,
    books: Books,
    files: SimulatedDisk,
    checkpoints: Option<Files>,
) -> turmoil::Result {
    let incoming = network::listen(MASTER_PORT).await?;
    let workers = scenario.shape.hosts as u32;
    let settings = scenario.settings();
    let mut config = ps_master::Config::new("sim", scenario.servers, workers, settings);
    config.machine.lease = LEASE;
    config.machine.server_away = SERVER_AWAY;
    config.machine.start_timeout = Duration::from_secs(60);
    config.machine.barrier_timeout = LEASE * 2;
    config.machine.evaluation_timeout = LEASE * 4;
    // As psrun starts one again.
    config.leaves_state = true;
    config.go_on = scenario.journal.is_some() && books.was_known(MASTER);
    if scenario.servers_go_back {
        // Often, so that there is one before the first of them dies.
        config.machine.checkpoint_every.steps = Some(6);
    }
    let notes = books.clone();
    let metrics = move |line: &str| {
        notes.note(line);
        if line.contains("listening=") {
            notes.is_known(MASTER);
        }
    };
    let outside = match scenario.lives {
        true => network::outside(scenario.seed, metrics),
        false => network::outside_undated(scenario.seed, metrics),
    };
    let (_trigger, shutdown) = Shutdown::new();
    let steps = books.begin_process(MASTER);
    let disk = || match scenario.state_lags_by {
        0 => steps.watch(Arc::new(books.disk(MASTER))),
        by => Arc::new(LaggingDisk::new(books.disk(MASTER), by)) as Files,
    };
    let files = MasterFiles {
        results: steps.watch(Arc::new(files)),
        checkpoints: checkpoints.map(|files| steps.watch(files)),
        state: scenario.journal.map(|_| disk()),
    };
    let address = MASTER_ADDRESS.to_owned();
    let ended = ps_master::run(config, incoming, address, outside, shutdown, files).await;
    books.ended(MASTER, ended.map_err(|error| error.to_string()));
    Ok(())
}

async fn serve(
    scenario: Scenario,
    books: Books,
    (shard, goes_back): (u32, bool),
    checkpoints: Option<Files>,
) -> turmoil::Result {
    let name = format!("server{shard}");
    let advertise = books.address(&name);
    let incoming = moving::listen(advertise.clone()).await?;
    let address = format!("{name}:{SERVER_PORT}");
    let config = ServerConfig {
        advertise: Some(advertise),
        goes_back,
        ..scenario.server_config(shard, Some(MASTER_ADDRESS.into()))
    };
    // Another life of the same host is another process: its token must differ.
    let life = turmoil::sim_elapsed().unwrap_or_default().as_millis() as u64;
    let outside = network::outside(u64::from(shard) + 1000 + (life << 20), |_| ());
    let (_trigger, shutdown) = Shutdown::new();
    let steps = books.begin_process(&name);
    let files = ServerFiles {
        checkpoints: checkpoints.map(|files| steps.watch(files)),
        journal: scenario.journal.map(|_| steps.watch(Arc::new(books.disk(&name)))),
    };
    let ended =
        ps_server::serve::run(config, incoming, Lanes::Here, address, outside, shutdown, files)
            .await;
    books.ended(&name, ended.map_err(|error| error.to_string()));
    Ok(())
}

async fn work(member: Member) -> turmoil::Result {
    let Member { scenario, data, ledger, books, book, name, host, role } = member;
    let counters = Arc::new(Counters::default());
    // Where ranks have samples of their own, a process asks for the rank that its samples are of.
    let is_owner = data != Data::Replicated && role == v1::Role::Worker;
    let config = WorkerConfig {
        job: "sim".into(),
        role,
        master: MASTER_ADDRESS.into(),
        index: is_owner.then_some(host as u32),
        address: name.clone(),
        attempt: Duration::from_millis(700),
        patience: LEASE * 4,
        compute_on: ComputeOn::Task,
        leave_after_signal: LEASE * 4,
    };
    let (_trigger, shutdown) = Shutdown::new();
    // Another life of the same host is another process: its token must differ.
    let life = turmoil::sim_elapsed().unwrap_or_default().as_millis() as u64;
    let seed = scenario.seed ^ (host as u64 + 1) << 40 ^ life << 4 ^ role as u64;
    let compute = ledger.compute(host, scenario.depth, counters.clone());
    let workload = data.workload(role, host, &scenario, compute, &book).await?;
    let outside = network::outside(seed, |_| ());
    let ended = ps_worker::train::run(config, workload, counters, outside, shutdown).await;
    books.ended(&name, ended.map_err(|error| error.to_string()));
    Ok(())
}

/// The weights of each complete checkpoint in a folder.
fn saved_weights(folder: &SimulatedDisk) -> BTreeMap<u64, Vec<f32>> {
    let weights = |chunks: Vec<Chunk>| chunks.iter().flat_map(|it| it.weights().to_vec()).collect();
    let saved = complete_checkpoints(folder).into_iter();
    saved.map(|(number, chunks)| (number, weights(chunks))).collect()
}

/// The chunks of each complete checkpoint in a folder, as one server would hold them.
pub fn complete_checkpoints(folder: &SimulatedDisk) -> BTreeMap<u64, Vec<Chunk>> {
    let names = folder.list().unwrap_or_default();
    let numbers = names.iter().filter_map(|name| names::parse_manifest_file(name));
    numbers.map(|number| (number, checkpoint_chunks(folder, number))).collect()
}

fn checkpoint_chunks(folder: &SimulatedDisk, number: u64) -> Vec<Chunk> {
    let name = names::manifest_file(number);
    let manifest = Manifest::decode(&name, &folder.content(&name).unwrap_or_default());
    let manifest = manifest.unwrap_or_else(|error| panic!("{error}"));
    let spec = manifest.spec(&manifest.state.settings, 1).unwrap_or_else(|error| panic!("{error}"));
    let whole = read_parts(folder, &manifest.files, &spec);
    let whole = whole.unwrap_or_else(|error| panic!("checkpoint {number}: {error}"));
    whole.chunks
}

fn read_parts(
    folder: &SimulatedDisk,
    files: &[File],
    spec: &ModelSpec,
) -> Result<RestoredShard, Box<dyn Error>> {
    let mut whole = Assembly::new(spec, 0);
    for file in files {
        let reader = folder.open(&file.name)?;
        let read_at =
            |place, into: &mut [u8]| Ok::<_, Box<dyn Error>>(reader.read_at(place, into)?);
        let count = files.len();
        let stored = StoredShard::open(file, count as u32, spec, reader.bytes(), read_at)?;
        whole.add(file, count, &stored, read_at)?;
    }
    Ok(whole.finish()?)
}

/// The final weights and counts, from the files that the master wrote.
fn read_files(files: &SimulatedDisk, layout: &Layout) -> Final {
    let mut last = Final::default();
    if let Some(model) = files.content(MODEL_FILE) {
        let model = SafeTensors::deserialize(&model).unwrap_or_else(|error| panic!("{error}"));
        for tensor in layout.tensors() {
            let view = model.tensor(&tensor.name).unwrap_or_else(|error| panic!("{error}"));
            let values = view.data().chunks_exact(4);
            last.weights.extend(values.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
        }
    }
    let report = files.content(ps_master::REPORT_FILE).unwrap_or_default();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap_or_default();
    for server in report["servers"].as_object().into_iter().flat_map(|servers| servers.values()) {
        let count = |name: &str| server[name].as_u64().unwrap_or(0);
        last.duplicates += count("pushes_duplicate");
        last.torn += count("pushes_torn");
        last.fenced += count("calls_fenced");
    }
    last
}
