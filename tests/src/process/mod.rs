//! Real processes for tests: built once, started, heard, killed, and never left behind.
//!
//! Processes are found by their job id on their command line, through `/proc`.

mod binary;
mod finished;
mod hosts;
mod table;
mod terminal;

pub use binary::{counting_model, psrun};
pub use finished::{Finished, metrics};
pub use hosts::Hosts;
pub use table::{processes, signal};
pub use terminal::Terminal;

use rustix::process::Signal;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

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

impl Process {
    /// Starts `psrun` with these arguments and `--job-id`.
    ///
    /// # Panics
    /// The system refuses to start it.
    pub fn start(job: &str, args: &[&str]) -> Self {
        Self::start_program(psrun(), job, args, &[])
    }

    /// Starts `psrun` under another name, or in another environment.
    ///
    /// # Panics
    /// The system refuses to start it.
    pub fn start_program(
        program: &Path,
        job: &str,
        args: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new(program);
        command.args(args);
        if !job.is_empty() {
            command.arg(format!("--job-id={job}"));
        }
        // Options come from the test, not from whoever runs it.
        let ours = ["PS_", "SM_", "SAGEMAKER_", "TRAINING_JOB_", "TF_CONFIG"];
        for (name, _) in std::env::vars_os() {
            if ours.iter().any(|start| name.to_string_lossy().starts_with(start)) {
                command.env_remove(name);
            }
        }
        command.envs(variables.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("starting psrun: {error}"));
        let (stdout, stderr) = (Text::default(), Text::default());
        let readers = [
            child.stdout.take().map(|stream| read(stream, stdout.clone())),
            child.stderr.take().map(|stream| read(stream, stderr.clone())),
        ];
        let readers = readers.into_iter().flatten().collect();
        Self { child, job: job.to_owned(), stdout, stderr, readers }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
        // Nothing more comes from a process that has ended.
        let has_ended = || self.readers.iter().all(JoinHandle::is_finished);
        wait_until(patience, || is_so(self) || has_ended());
        let so = is_so(self);
        let (stdout, stderr) = (self.stdout(), self.stderr());
        assert!(so, "no `{what}` in {patience:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
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
        Finished { status, stdout: self.stdout(), stderr: self.stderr() }
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
