//! What processes write: metrics for machines, logs for files, trouble for people.

use crate::complaint::Complaint;
use crate::logs::Destination;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// Bytes of a line; what is longer is cut in two, so that nobody can fill our memory.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Reads lines and hands each to `take`, until the stream ends.
async fn each_line(stream: impl AsyncRead + Unpin, mut take: impl FnMut(&str)) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut reader).take(LINE_BYTES_MAX);
        match limited.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => take(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r'])),
        }
    }
}

/// What a process's standard output is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// That it is ready; the rest is of no use to a machine.
    Ready,
    /// That it is ready, then metrics.
    Metrics,
    /// What a program of the user's prints: none of our business.
    Program,
}

/// Reads a process's standard output: that it is ready goes to `ready`, with its address if it
/// listens; what somebody may want to read is passed on.
pub async fn read_stdout(
    stream: impl AsyncRead + Unpin,
    heard: Heard,
    ready: impl Fn(Option<String>),
) {
    each_line(stream, |line| {
        if heard != Heard::Program && line.starts_with("role=") {
            ready(value(line, "listening").map(str::to_owned));
        } else if heard != Heard::Ready {
            // Whoever read our metrics may have left; the job goes on without.
            let mut stdout = std::io::stdout().lock();
            let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
        }
    })
    .await;
}

/// Whether the job is ending, so that what members complain of is its consequence, not its cause.
pub type Ending = Arc<AtomicBool>;

/// Reads a process's standard error: all of it goes to its log, trouble to people as well, and the
/// last complaint is kept.
pub async fn read_stderr(
    stream: impl AsyncRead + Unpin,
    destination: &Destination,
    prefix: &str,
    ending: &AtomicBool,
    complaint: &Complaint,
) {
    let mut file = match destination {
        Destination::File(log) => create(log, prefix),
        _ => None,
    };
    let mut panicked = false;
    each_line(stream, |line| {
        complaint.hear(line, panicked);
        if *destination == Destination::Through {
            pass_on(&format!("{prefix} {line}"));
        } else if (is_trouble(line) || panicked) && !ending.load(Ordering::Relaxed) {
            say(&format!("{prefix} {}", without_time(line)));
        }
        if let Some(file) = &mut file {
            // A full disk costs the log, not the job.
            let _ = writeln!(file, "{line}");
        }
        // A panic says where in one line and what in the next.
        panicked = line.contains("panicked at");
    })
    .await;
}

/// Makes a log file. Few and short lines: not worth a trip to another thread.
fn create(log: &Path, prefix: &str) -> Option<std::fs::File> {
    let file = std::fs::File::create(log);
    file.map_err(|error| say(&format!("{prefix} writing its log {}: {error}", log.display()))).ok()
}

/// Writes a line for people, over a progress bar if there is one.
pub fn say(line: &str) {
    let mut stderr = std::io::stderr().lock();
    let over = if stderr.is_terminal() { "\r\x1b[K" } else { "" };
    let _ = writeln!(stderr, "{over}{line}");
}

/// Writes a line of a log, as it is: a container's terminal is a file in the end.
pub fn pass_on(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// The value of `name=value;` in a metric line.
pub fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let pairs = line.split(';').map(str::trim);
    pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, v)| v)
}

/// Whether a log line is a warning, an error or a panic.
fn is_trouble(line: &str) -> bool {
    let level = without_time(line);
    ["WARN", "ERROR", "error:"].iter().any(|word| level.starts_with(word))
        || line.contains("panicked at")
}

/// A log line without the seconds that it starts with: they count from another process's start.
pub(crate) fn without_time(line: &str) -> &str {
    let rest = line.trim_start();
    match rest.split_once(' ') {
        Some((time, rest))
            if time.ends_with('s') && time.starts_with(|c: char| c.is_ascii_digit()) =>
        {
            rest.trim_start()
        }
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name() {
        let line = "role=server; shard=0; listening=127.0.0.1:4321;";
        assert_eq!(value(line, "listening"), Some("127.0.0.1:4321"));
        assert_eq!(value(line, "shard"), Some("0"));
        assert_eq!(value(line, "port"), None);
    }

    #[test]
    fn trouble_is_told_from_the_rest() {
        assert!(is_trouble("   0.004518031s  WARN the master is lost"));
        assert!(is_trouble("  12.004518031s ERROR no"));
        assert!(is_trouble("error: ps-worker: no such folder"));
        assert!(is_trouble("thread 'main' (1) panicked at src/main.rs:3:5:"));
        assert!(!is_trouble("   0.004518031s  INFO an ERROR was seen elsewhere"));
        assert_eq!(without_time("   0.004518031s  WARN lost"), "WARN lost");
    }

    #[tokio::test]
    async fn the_address_is_taken_from_the_first_line() {
        let found = std::sync::Mutex::new(Vec::new());
        let text = &b"role=master; listening=127.0.0.1:4000;\n"[..];
        read_stdout(text, Heard::Ready, |address| found.lock().unwrap().push(address)).await;
        read_stdout(&b"role=worker; train_samples=3;\n"[..], Heard::Ready, |address| {
            found.lock().unwrap().push(address);
        })
        .await;
        assert_eq!(*found.lock().unwrap(), [Some("127.0.0.1:4000".into()), None]);
    }

    #[tokio::test]
    async fn endless_lines_are_cut() {
        let long = vec![b'x'; 150 * 1024];
        let mut lengths = Vec::new();
        each_line(&long[..], |line| lengths.push(line.len())).await;
        assert_eq!(lengths, [64 * 1024, 64 * 1024, 22 * 1024]);
    }

    #[tokio::test]
    async fn logs_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("worker-1.log");
        let (to, ending) = (Destination::File(log.clone()), AtomicBool::new(false));
        let text = &b"   0.1s  INFO hello\nlast"[..];
        read_stderr(text, &to, "[worker 1]", &ending, &Complaint::default()).await;
        assert_eq!(std::fs::read_to_string(log).unwrap(), "   0.1s  INFO hello\nlast\n");
    }
}
