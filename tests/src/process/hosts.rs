//! Hosts of a SageMaker job on one machine: each a folder like `/opt/ml` and an address of its own.

use super::{Process, psrun};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// The hosts of one job.
pub struct Hosts {
    folder: TempDir,
    names: Vec<String>,
}

impl Hosts {
    /// So many hosts with these hyperparameters and the digits as training channel.
    ///
    /// # Panics
    /// The folders cannot be made.
    pub fn new(count: u32, hyperparameters: &[(&str, &str)]) -> Self {
        let hosts = Self { folder: folder(), names: names(count) };
        let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/digits");
        let digits =
            std::fs::canonicalize(digits).unwrap_or_else(|error| panic!("digits: {error}"));
        let values: serde_json::Map<_, _> =
            hyperparameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        for host in &hosts.names {
            let base = hosts.base(host);
            let resources = serde_json::json!({ "current_host": host, "hosts": hosts.names });
            let channels = serde_json::json!({ "training": { "TrainingInputMode": "File" } });
            write(&base, "resourceconfig.json", &resources.to_string());
            write(&base, "inputdataconfig.json", &channels.to_string());
            write(
                &base,
                "hyperparameters.json",
                &serde_json::Value::from(values.clone()).to_string(),
            );
            let data = base.join("input/data");
            let made = std::fs::create_dir_all(&data)
                .and_then(|()| std::os::unix::fs::symlink(&digits, data.join("training")));
            made.unwrap_or_else(|error| panic!("making {}: {error}", data.display()));
        }
        hosts
    }

    /// The hosts' names, in order; the first is the master's.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What is `/opt/ml` to a host.
    pub fn base(&self, host: &str) -> PathBuf {
        self.folder.path().join(host)
    }

    /// Replaces a file of a host's configuration.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn configure(&self, host: &str, file: &str, text: &str) {
        write(&self.base(host), file, text);
    }

    /// Starts a host's `psrun train`.
    ///
    /// # Panics
    /// The system refuses to start it.
    pub fn start(&self, job: &str, host: &str, more: &[&str]) -> Process {
        let base = self.base(host);
        let listen = format!("--listen-host={host}");
        let args: Vec<&str> = ["train", &listen].into_iter().chain(more.iter().copied()).collect();
        // As in an image from nothing: there is no folder for temporary files.
        let missing = base.join("no-such-folder");
        let variables = [
            ("SAGEMAKER_BASE_DIR", base.to_str().unwrap_or_default()),
            ("TMPDIR", missing.to_str().unwrap_or_default()),
        ];
        Process::start_program(psrun(), job, &args, &variables)
    }

    /// Starts all hosts.
    ///
    /// # Panics
    /// The system refuses to start one.
    pub fn start_all(&self, job: &str) -> Vec<Process> {
        // The last one first: no order may be needed.
        let mut started: Vec<Process> =
            self.names.iter().rev().map(|host| self.start(job, host, &[])).collect();
        started.reverse();
        started
    }

    /// The files in a host's model folder, in order.
    pub fn model_files(&self, host: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.base(host).join("model")).into_iter().flatten();
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into()).collect();
        names.sort();
        names
    }

    /// A host's failure file.
    pub fn failure(&self, host: &str) -> Option<String> {
        std::fs::read_to_string(self.base(host).join("output/failure")).ok()
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap_or_else(|error| panic!("making a folder: {error}"))
}

/// Loopback addresses that no other test has: names that resolve, and ports of their own.
fn names(count: u32) -> Vec<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (pid, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let (a, b) = (pid % 200 + 20, (pid / 200 * 17 + next) % 250);
    (1..=count).map(|host| format!("127.{a}.{b}.{host}")).collect()
}

fn write(base: &Path, file: &str, text: &str) {
    let folder = base.join("input/config");
    let written =
        std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join(file), text));
    written.unwrap_or_else(|error| panic!("writing {file} in {}: {error}", folder.display()));
}
