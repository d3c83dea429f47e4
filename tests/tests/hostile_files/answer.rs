//! How a process answers, watched from outside.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often the process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What came of it.
pub(crate) struct Answer {
    /// `None`: a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
    /// The most that it had in memory, as far as it was seen.
    pub(crate) memory_mib: u64,
    time: Duration,
}

impl Answer {
    /// The answer to a command; one that takes too much of anything is ended.
    pub(crate) fn to(command: &mut Command, memory_max_mib: u64, patience: Duration) -> Self {
        let began = Instant::now();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stderr.read_to_end(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let mut memory_mib = 0;
        let status = loop {
            memory_mib = memory_mib.max(peak_mib(child.id()));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if memory_mib > memory_max_mib || began.elapsed() > patience {
                child.kill().unwrap();
            }
            std::thread::sleep(LOOK_EVERY);
        };
        let stderr = reader.join().unwrap();
        Self { code: status.code(), stderr, memory_mib, time: began.elapsed() }
    }

    /// What is wrong with this answer to a question about this file.
    pub(crate) fn problem(
        &self,
        file: &Path,
        memory_max_mib: u64,
        patience: Duration,
    ) -> Option<String> {
        let folder = file.parent().unwrap().to_string_lossy();
        let said = |word: &str| self.stderr.contains(word);
        match self.code {
            _ if self.memory_mib > memory_max_mib => {
                Some(format!("{} MiB, expected at most {memory_max_mib}", self.memory_mib))
            }
            _ if self.time > patience => Some(format!("no answer in {patience:?}")),
            None => Some("ended by a signal".to_owned()),
            _ if said("panicked") => Some("a panic".to_owned()),
            Some(0) => None,
            Some(1 | 64) if said(&folder) => None,
            Some(1 | 64) => Some(format!("a failure that does not name {}", file.display())),
            Some(code) => Some(format!("exit code {code}")),
        }
    }
}

/// The most that a process has had in memory, or 0 when it has ended.
fn peak_mib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|it| it.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}
