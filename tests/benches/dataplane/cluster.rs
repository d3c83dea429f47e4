//! Servers and workers of one topology, and what every way of moving bytes makes of them.

use super::layouts;
use super::peer::Peer;
use super::report::{self, Samples};
use std::collections::BTreeMap;

/// Processes that move a model's bytes each step and worker.
pub(crate) struct Cluster {
    bytes: usize,
    servers: Vec<Peer>,
    raw: Vec<Peer>,
    workers: Vec<Peer>,
    _sockets: tempfile::TempDir,
}

/// What was measured of one way: GB/s of every round, CPU seconds and gigabytes over all.
#[derive(Default)]
pub(crate) struct Measured {
    pub(crate) goodput: Samples,
    cpu_s: f64,
    gigabytes: f64,
}

impl Measured {
    pub(crate) fn cpu_s_per_gb(&self) -> f64 {
        self.cpu_s / self.gigabytes
    }
}

/// What every way made, by its name.
pub(crate) type Ways = BTreeMap<&'static str, Measured>;

impl Cluster {
    /// So many servers and raw peers, and workers that are connected to all of them, for a model of two
    /// tensors of so many bytes.
    pub(crate) fn start(servers: usize, workers: usize, bytes: usize) -> anyhow::Result<Self> {
        Self::start_for(servers, workers, &bytes.to_string())
    }

    /// The same for a model of [`layouts::parse`].
    fn start_for(servers: usize, workers: usize, model: &str) -> anyhow::Result<Self> {
        let bytes = layouts::elements(&layouts::parse(model)?) * size_of::<f32>();
        let sockets = tempfile::tempdir()?;
        let (mut ours, mut raw) = (Vec::new(), Vec::new());
        let (mut our_places, mut raw_places, mut paths) = (vec![], vec![], vec![]);
        for shard in 0..servers {
            let mut server = Peer::start(&["server", &shard.to_string(), "127.0.0.1"])?;
            our_places.push(server.line()?);
            ours.push(server);
            let path = sockets.path().join(shard.to_string()).display().to_string();
            let mut peer = Peer::start(&["raw", &path])?;
            raw_places.push(peer.line()?);
            raw.push(peer);
            paths.push(path);
        }
        let places = [
            format!("raw={}", raw_places.join(",")),
            format!("unix={}", paths.join(",")),
            format!("ours={}", our_places.join(",")),
        ];
        let mut crew = Vec::new();
        for worker in 0..workers {
            let worker = worker.to_string();
            let [raw, unix, ours] = places.each_ref();
            let mut worker = Peer::start(&["worker", &worker, model, raw, unix, ours])?;
            anyhow::ensure!(worker.line()? == "ready", "a worker did not start");
            crew.push(worker);
        }
        Ok(Self { bytes, servers: ours, raw, workers: crew, _sockets: sockets })
    }

    /// A worker's process.
    pub(crate) fn worker(&mut self, index: usize) -> &mut Peer {
        &mut self.workers[index]
    }

    /// A server's process.
    pub(crate) fn server(&self, index: usize) -> &Peer {
        &self.servers[index]
    }

    /// All workers do one step at once; how long the slowest took, in seconds.
    pub(crate) fn step(&mut self, words: &str) -> anyhow::Result<f64> {
        for worker in &mut self.workers {
            worker.tell(words)?;
        }
        let mut slowest = 0_u64;
        for worker in &mut self.workers {
            slowest = slowest.max(worker.line()?.parse()?);
        }
        Ok(slowest as f64 / 1e9)
    }

    fn cpu_s(&self) -> anyhow::Result<f64> {
        let peers = self.servers.iter().chain(&self.raw).chain(&self.workers);
        peers.map(Peer::cpu_s).sum()
    }

    /// Every way in turn, round after round.
    pub(crate) fn measure(
        &mut self,
        names: &[&'static str],
        rounds: usize,
    ) -> anyhow::Result<Ways> {
        let mut ways = Ways::new();
        for round in 0..rounds + 2 {
            for name in names {
                let before = self.cpu_s()?;
                let seconds = self.step(name)?;
                let cpu_s = self.cpu_s()? - before;
                // Both directions' bytes count where both move.
                let directions = if name.ends_with("both") { 2 } else { 1 };
                let gigabytes = (self.bytes * self.workers.len() * directions) as f64 / 1e9;
                // The first two rounds touch memory for the first time.
                if round >= 2 {
                    let way = ways.entry(name).or_default();
                    way.goodput.push(gigabytes / seconds);
                    way.cpu_s += cpu_s;
                    way.gigabytes += gigabytes;
                }
            }
        }
        Ok(ways)
    }

    /// Checks that everything arrived where it belongs.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        let mut pushes = 0;
        for worker in &mut self.workers {
            worker.tell("pushes")?;
            pushes += worker.line()?.parse::<u64>()?;
        }
        self.step(&format!("check {pushes}"))?;
        self.step("check-raw").map(|_| ())
    }
}

fn show(title: &str, names: &[&'static str], ways: &Ways) {
    report::head(title);
    for name in names {
        let way = &ways[name];
        report::row(name, &way.goodput, Some(way.cpu_s_per_gb()));
    }
}

/// One worker, one server.
pub(crate) fn one(rounds: usize) -> anyhow::Result<()> {
    const WAYS: [&str; 14] = [
        "raw-push",
        "push",
        "greedy-push",
        "raw-pull",
        "pull",
        "greedy-pull",
        "raw-both",
        "both",
        "bf16-both",
        "raw-unix-push",
        "unix-push",
        "raw-unix-pull",
        "unix-pull",
        "unix-both",
    ];
    let mut cluster = Cluster::start(1, 1, 64 << 20)?;
    cluster.step("open-unix")?;
    cluster.step("open-bf16")?;
    let ways = cluster.measure(&WAYS, rounds)?;
    cluster.check()?;
    show("1 worker, 1 server, 64 MiB a step", &WAYS, &ways);
    let over = |ours: &str, raw: &str| ways[ours].goodput.over(&ways[raw].goodput);
    report::figure("push_over_raw", &over("push", "raw-push"));
    report::figure("push_over_best_raw", &over("push", "greedy-push"));
    report::figure("pull_over_raw", &over("pull", "raw-pull"));
    report::figure("pull_over_best_raw", &over("pull", "greedy-pull"));
    report::figure("push_pull_over_raw", &over("both", "raw-both"));
    // Goodput counts what the values are worth as f32: the ratio is that of steps a second.
    report::figure("bf16_over_f32", &over("bf16-both", "both"));
    report::figure("uds_over_raw_uds", &over("unix-push", "raw-unix-push"));
    report::figure("uds_pull_over_raw_uds", &over("unix-pull", "raw-unix-pull"));
    report::figure("uds_over_tcp", &over("unix-push", "push"));
    report::figure("uds_pull_over_tcp", &over("unix-pull", "pull"));
    report::single("push_cpu_s_per_gb", ways["push"].cpu_s_per_gb());
    Ok(())
}

/// One worker that pushes ResNet-50's gradient, beside peers that apply it, too: to one server and over three,
/// of which the smaller ratio counts.
pub(crate) fn applied(rounds: usize) -> anyhow::Result<()> {
    const WAYS: [&str; 4] = ["apply-push", "push", "apply-unix-push", "unix-push"];
    let [mut tcp, mut unix] = [(); 2].map(|()| Samples(vec![f64::INFINITY]));
    for servers in [1, 3] {
        let mut cluster = Cluster::start_for(servers, 1, "resnet50")?;
        cluster.step("open-unix")?;
        let ways = cluster.measure(&WAYS, rounds)?;
        cluster.check()?;
        show(&format!("1 worker, {servers} servers, ResNet-50, all apply SGD"), &WAYS, &ways);
        let over = |ours: &str, raw: &str| ways[ours].goodput.over(&ways[raw].goodput);
        tcp = smaller(tcp, over("push", "apply-push"));
        unix = smaller(unix, over("unix-push", "apply-unix-push"));
    }
    report::figure("push_over_raw_apply", &tcp);
    report::figure("uds_over_raw_apply", &unix);
    Ok(())
}

/// That of the smaller median.
fn smaller(one: Samples, other: Samples) -> Samples {
    if other.median() < one.median() { other } else { one }
}

/// Two workers, two servers.
pub(crate) fn many(rounds: usize) -> anyhow::Result<()> {
    const WAYS: [&str; 6] = ["raw-push", "push", "raw-pull", "pull", "raw-both", "both"];
    let mut cluster = Cluster::start(2, 2, 64 << 20)?;
    let ways = cluster.measure(&WAYS, rounds)?;
    cluster.check()?;
    show("2 workers, 2 servers, 64 MiB a step and worker", &WAYS, &ways);
    report::figure("many_over_raw", &ways["push"].goodput.over(&ways["raw-push"].goodput));
    report::figure("many_pull_over_raw", &ways["pull"].goodput.over(&ways["raw-pull"].goodput));
    Ok(())
}

/// Every size, number of servers and workers.
pub(crate) fn full(rounds: usize) -> anyhow::Result<()> {
    const WAYS: [&str; 6] = ["raw-push", "push", "raw-pull", "pull", "raw-both", "both"];
    for kib in [4, 64, 1024, 4 * 1024, 16 * 1024, 64 * 1024] {
        for (servers, workers) in [(1, 1), (1, 2), (1, 8), (2, 1), (2, 2), (2, 8)] {
            let mut cluster = Cluster::start(servers, workers, kib << 10)?;
            let ways = cluster.measure(&WAYS, rounds)?;
            cluster.check()?;
            let title =
                format!("{workers} workers, {servers} servers, {kib} KiB a step and worker");
            show(&title, &WAYS, &ways);
        }
    }
    Ok(())
}
