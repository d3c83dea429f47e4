//! A program that strangers call.

use ps_proto::{PROTOCOL, v1};
use ps_runtime::Connector;
use ps_tests::bench::usage;
use ps_tests::loopback::JOB;
use ps_tests::process::{Process, psrun};
use std::path::Path;
use std::time::Duration;
use tonic::transport::Channel;

const MIB: u64 = 1 << 20;

/// A program that listens, and the most memory that it had when nobody called.
pub(crate) struct Victim {
    pub(crate) process: Process,
    pub(crate) address: String,
    before: u64,
}

impl Victim {
    pub(crate) fn start(args: &[&str]) -> Self {
        let args = [args, &["--listen=127.0.0.1:0", "--job-id", JOB]].concat();
        Self::listening(Process::start("", &args))
    }

    /// The same with a limit that a shell sets.
    pub(crate) fn limited(limit: &str, args: &[&str]) -> Self {
        let args = [args, &["--listen=127.0.0.1:0", "--job-id", JOB]].concat();
        let script = format!("{limit}; exec \"$@\"");
        let shell = ["-c", &script, "sh", psrun().to_str().unwrap()];
        Self::listening(Process::start_program(
            Path::new("/bin/sh"),
            "",
            &[&shell[..], &args].concat(),
            &[],
        ))
    }

    fn listening(process: Process) -> Self {
        process.wait_for_stdout("listening=", Duration::from_secs(30));
        let address = process.stdout().split("listening=").nth(1).unwrap().to_owned();
        let address = address.split(';').next().unwrap().to_owned();
        let before = usage::memory_peak_bytes(process.pid()).unwrap();
        Self { process, address, before }
    }

    pub(crate) fn server() -> Self {
        Self::start(&["ps-server", "--shard=0", "--buffer-mib=32"])
    }

    pub(crate) fn channel(&self) -> Channel {
        Connector::tcp().channel(&self.address).unwrap()
    }

    /// A connection that is read as fast as it sends: of a peer that has made a call of this job.
    pub(crate) async fn known_channel(&self) -> Channel {
        let channel = self.channel();
        let job = JOB.to_owned();
        let describe = v1::DescribeRequest { job: job.clone(), protocol: PROTOCOL };
        let report = v1::LoadingReport { job, address: "here:1".into(), ..Default::default() };
        let mut server = v1::data_plane_client::DataPlaneClient::new(channel.clone());
        let mut master = v1::master_client::MasterClient::new(channel.clone());
        let is_server = server.describe(describe).await.is_ok();
        assert!(is_server || master.report_loading(report).await.is_ok());
        channel
    }

    /// Fails where it had more than so many MiB above what it had at first, and than what the allocator keeps
    /// for each of its threads.
    #[track_caller]
    pub(crate) fn check(&self, bounded_mib: u64) {
        let allowed_mib = bounded_mib + 32 + 16 * cores();
        let peak = usage::memory_peak_bytes(self.process.pid()).unwrap();
        let grown = (peak - self.before) / MIB;
        println!("{grown} MiB more than {} MiB", self.before / MIB);
        assert!(grown <= allowed_mib, "grew by {grown} MiB, {allowed_mib} allowed");
    }
}

/// Threads that serve connections: each may keep what it has decoded last.
pub(crate) fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}
