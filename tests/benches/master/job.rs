//! A job with one server, whose workers are a load process.

use anyhow::{Context, ensure};
use ps_tests::bench::peer::Peer;
use ps_tests::bench::programs::Program;
use std::time::Instant;

/// The processes of the job.
pub(crate) struct Job {
    master: Program,
    load: Peer,
    _server: Program,
    _out: tempfile::TempDir,
}

/// What happened between two looks at the job.
pub(crate) struct Passed {
    pub(crate) seconds: f64,
    pub(crate) master_cpu_s: f64,
    pub(crate) beats: Beats,
}

/// Heartbeats that were answered, and how soon.
pub(crate) struct Beats {
    pub(crate) count: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Job {
    /// A job whose workers all hold a lease; the load counts heartbeats over so many seconds.
    pub(crate) fn start(connections: u32, seconds: u32) -> anyhow::Result<Self> {
        let out = tempfile::tempdir()?;
        let folder = out.path().to_str().context("no folder")?;
        let (connections, seconds) = (connections.to_string(), seconds.to_string());
        let args = ["--servers", "1", "--workers", &connections, "--passes", "1", "--out", folder];
        let master = Program::start("ps-master", &args)?;
        let server = Program::start("ps-server", &["--shard", "0", "--master", &master.address])?;
        let mut load = Peer::start(&["load", &master.address, &connections, &seconds])?;
        ensure!(load.line()? == "ready", "the load did not start");
        Ok(Self { master, load, _server: server, _out: out })
    }

    /// Waits until the load has counted for its seconds once more.
    pub(crate) fn look(&mut self) -> anyhow::Result<Passed> {
        let (begun, before) = (Instant::now(), self.master.peer.cpu_s()?);
        let line = self.load.line()?;
        let seconds = begun.elapsed().as_secs_f64();
        let master_cpu_s = self.master.peer.cpu_s()? - before;
        let numbers: Result<Vec<f64>, _> = line.split(' ').map(str::parse).collect();
        let [count, p50_ms, p99_ms] = numbers?[..] else {
            anyhow::bail!("the load says: {line}");
        };
        Ok(Passed { seconds, master_cpu_s, beats: Beats { count, p50_ms, p99_ms } })
    }

    /// The most memory that the master had at once, in MiB.
    pub(crate) fn master_memory_mib(&self) -> anyhow::Result<f64> {
        Ok(self.master.peer.memory_peak_bytes()? as f64 / f64::from(1 << 20))
    }
}
