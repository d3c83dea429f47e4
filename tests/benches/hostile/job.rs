//! The job that is attacked.

use anyhow::{Context, ensure};
use ps_proto::{PROTOCOL, v1};
use ps_runtime::Connector;
use ps_tests::bench::usage;
use ps_tests::process::{Process, job_id};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// What the servers may hold of chunks, in each job here.
pub(crate) const BUFFER_MIB: u64 = 64;

/// Longer than any measurement.
const PASSES: &str = "1000000";

/// A job on this machine that trains until this is dropped.
pub(crate) struct Job {
    psrun: Process,
    /// Its id.
    pub(crate) id: String,
    /// Where the server of shard 0 listens.
    pub(crate) server: String,
    pid: u32,
    runtime: Runtime,
    _out: TempDir,
}

impl Job {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let (id, out) = (job_id("hostile"), tempfile::tempdir()?);
        let folder = format!("--out={}", out.path().display());
        let buffers = format!("--buffer-mib={BUFFER_MIB}");
        let args =
            ["local", "--instances=3", "--passes", PASSES, "--hidden=256", &folder, &buffers];
        let psrun = Process::start(&id, &args);
        psrun.wait_for_stdout("pass=1;", Duration::from_secs(60));
        let log = std::fs::read_to_string(out.path().join("server-0.log"));
        let log = log.or_else(|_| std::fs::read_to_string(out.path().join("logs/server-0.log")))?;
        let server = log.split(" listens on ").nth(1).context("server 0 says no address")?;
        let server = server.split_whitespace().next().unwrap_or_default().to_owned();
        let pid = psrun.find(&["ps-server", "--shard=0"]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let job = Self { psrun, id, server, pid, runtime, _out: out };
        // The first seconds are not like the others.
        job.steps_in(Duration::from_secs(3))?;
        Ok(job)
    }

    /// Steps a second over this time.
    pub(crate) fn steps_in(&self, time: Duration) -> anyhow::Result<f64> {
        let (before, begun) = (self.pushes()?, Instant::now());
        std::thread::sleep(time);
        let (pushes, time) = (self.pushes()? - before, begun.elapsed());
        ensure!(pushes > 0, "the job stands still: {}", self.psrun.stderr());
        Ok(pushes as f64 / time.as_secs_f64())
    }

    /// Pushes that the server has applied.
    fn pushes(&self) -> anyhow::Result<u64> {
        let request = v1::DescribeRequest { job: self.id.clone(), protocol: PROTOCOL };
        self.runtime.block_on(async {
            // Over the Unix socket, as the job's own processes.
            let channel = Connector::local_first().channel(&self.server)?;
            let mut client = v1::data_plane_client::DataPlaneClient::new(channel);
            let reply = client.describe(request).await?.into_inner();
            Ok(reply.counters.context("no counters")?.pushes_applied)
        })
    }

    pub(crate) fn reset_memory_peak(&self) -> anyhow::Result<u64> {
        usage::reset_memory_peak(self.pid)
    }

    pub(crate) fn memory_peak(&self) -> anyhow::Result<u64> {
        usage::memory_peak_bytes(self.pid)
    }
}
