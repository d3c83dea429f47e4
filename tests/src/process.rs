//! Real processes for tests: built once, started, heard, killed, and never left behind.
//!
//! Processes are found by their job id on their command line, through `/proc`.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How often conditions are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Lets one test of this program run at a time: each starts enough processes to keep a small
/// machine busy, and deadlines are only fair when nobody else is.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // Building is not part of anybody's deadline.
    psrun();
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The binary under test: built when it is first asked for, or named by `PS_TEST_PSRUN`.
///
/// # Panics
/// It cannot be built.
pub fn psrun() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("PS_TEST_PSRUN") {
        Some(path) => path.into(),
        None => build(),
    })
}

/// Builds with the whole workspace's features, so that what the tests were built with is reused.
fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--workspace", "--bin", "psrun"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .stderr(Stdio::inherit())
        .output();
    let output = output.unwrap_or_else(|error| panic!("building psrun: {error}"));
    assert!(output.status.success(), "building psrun: {}", output.status);
    // Only cargo knows where it put it: the target folder can be configured in many ways.
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let artifacts = messages
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let executable = artifacts
        .filter(|artifact: &serde_json::Value| artifact["target"]["name"] == "psrun")
        .find_map(|artifact| Some(artifact["executable"].as_str()?.into()));
    executable.unwrap_or_else(|| panic!("building psrun: cargo named no executable:\n{messages}"))
}

/// A job id that no other test uses, in this process or another.
pub fn job_id(test: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("test-{test}-{}-{next}", std::process::id())
}

/// A process under test; it and all processes of its job are gone when this is dropped.
pub struct Process {
    child: Child,
    job: String,
    stdout: Text,
    stderr: Text,
    readers: Vec<JoinHandle<()>>,
}

/// What a process has written so far.
type Text = Arc<Mutex<String>>;

/// How a process ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Finished {
    /// Fails with everything that was written unless the process exited with this code.
    ///
    /// # Panics
    /// It did not.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Self {
        let found = self.status;
        let written = format!("--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        assert_eq!(
            found.code(),
            Some(code),
            "expected code {code}, {found}\n{written}"
        );
        self
    }

    /// Fails unless standard error holds all of these words.
    ///
    /// # Panics
    /// One is missing.
    #[track_caller]
    pub fn expect_stderr(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(
                self.stderr.contains(word),
                "no `{word}` on stderr:\n{}",
                self.stderr
            );
        }
        self
    }

    /// The last value of a metric on standard output.
    pub fn metric(&self, name: &str) -> Option<f64> {
        metrics(&self.stdout, name).last().copied()
    }
}

impl Process {
    /// Starts `psrun` with these arguments and `--job-id`.
    ///
    /// # Panics
    /// The system refuses to start it.
    pub fn start(job: &str, args: &[&str]) -> Self {
        let mut command = Command::new(psrun());
        command.args(args).arg(format!("--job-id={job}"));
        // Options come from the test, not from whoever runs it.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PS_") {
                command.env_remove(name);
            }
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("starting psrun: {error}"));
        let (stdout, stderr) = (Text::default(), Text::default());
        let readers = [
            child
                .stdout
                .take()
                .map(|stream| read(stream, stdout.clone())),
            child
                .stderr
                .take()
                .map(|stream| read(stream, stderr.clone())),
        ];
        let readers = readers.into_iter().flatten().collect();
        Self {
            child,
            job: job.to_owned(),
            stdout,
            stderr,
            readers,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for words on standard output.
    ///
    /// # Panics
    /// They do not come in time.
    #[track_caller]
    pub fn wait_for_stdout(&self, words: &str, patience: Duration) {
        self.wait_until(patience, words, |process| process.stdout().contains(words));
    }

    /// Waits for words on standard error.
    ///
    /// # Panics
    /// They do not come in time.
    #[track_caller]
    pub fn wait_for_stderr(&self, words: &str, patience: Duration) {
        self.wait_until(patience, words, |process| process.stderr().contains(words));
    }

    #[track_caller]
    fn wait_until(&self, patience: Duration, what: &str, is_so: impl Fn(&Self) -> bool) {
        let so = wait_until(patience, || is_so(self));
        let (stdout, stderr) = (self.stdout(), self.stderr());
        assert!(
            so,
            "no `{what}` in {patience:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        );
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It does not end in time.
    #[track_caller]
    pub fn wait(&mut self, patience: Duration) -> Finished {
        let mut status = None;
        wait_until(patience, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        let Some(status) = status else {
            let (stdout, stderr) = (self.stdout(), self.stderr());
            panic!("not ended in {patience:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        };
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        Finished {
            status,
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }

    /// The one process of the job whose command line holds these words.
    ///
    /// # Panics
    /// None or several do.
    #[track_caller]
    pub fn find(&self, words: &[&str]) -> u32 {
        let found: Vec<_> = processes(&self.job)
            .into_iter()
            .filter(|(_, args)| words.iter().all(|word| args.iter().any(|arg| arg == word)))
            .collect();
        assert_eq!(found.len(), 1, "processes with {words:?}: {found:?}");
        found[0].0
    }

    /// Fails unless all processes of the job are gone in time.
    ///
    /// # Panics
    /// One is left.
    #[track_caller]
    pub fn expect_nobody_left(&self, patience: Duration) {
        let gone = wait_until(patience, || processes(&self.job).is_empty());
        assert!(gone, "left after {patience:?}: {:?}", processes(&self.job));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        for (pid, _) in processes(&self.job) {
            signal(pid, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process, which may be gone.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        let _ = kill_process(pid, signal);
    }
}

/// Process ids and command lines of everything that runs for this job.
pub fn processes(job: &str) -> Vec<(u32, Vec<String>)> {
    let wanted = format!("--job-id={job}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // Gone since, or a zombie: an empty command line.
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let args: Vec<String> = line.split('\0').map(str::to_owned).collect();
        if args.contains(&wanted) {
            found.push((pid, args));
        }
    }
    found
}

/// All values of a metric in `name=value;` lines, in order.
pub fn metrics(text: &str, name: &str) -> Vec<f64> {
    let pairs = text.lines().flat_map(|line| line.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .filter_map(|(_, value)| value.parse().ok())
        .collect()
}

/// Looks until it is so or the time is over.
pub fn wait_until(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patience;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Reads a stream line by line in the background.
fn read(stream: impl Read + Send + 'static, text: Text) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
            let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
            text.push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}
