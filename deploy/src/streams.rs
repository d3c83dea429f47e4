//! Reads what processes write: metrics for machines, logs for files, trouble for people.

use crate::last_error::LastError;
use crate::log_line::{is_warning_or_worse, starts_panic, value, without_time};
use crate::logs::LogDestination;
use crate::terminal;
use std::io::Write;
use std::path::Path;
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
pub enum StdoutContent {
    /// That it is ready; the rest is of no use to a machine.
    Readiness,
    /// That it is ready, then metrics.
    Metrics,
    /// What a program of the user's prints: none of our business.
    UserProgram,
}

/// Reads a process's standard output: that it is ready goes to `ready`, with its address if it
/// listens; what somebody may want to read is passed on.
pub async fn read_stdout(
    stream: impl AsyncRead + Unpin,
    content: StdoutContent,
    ready: impl Fn(Option<String>),
) {
    each_line(stream, |line| {
        if content != StdoutContent::UserProgram && line.starts_with("role=") {
            ready(value(line, "listening").map(str::to_owned));
        } else if content != StdoutContent::Readiness {
            // Whoever read our metrics may have left; the job goes on without.
            let mut stdout = std::io::stdout().lock();
            let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
        }
    })
    .await;
}

/// Reads a process's standard error: all of it goes to its log, trouble to people as well unless
/// the job is ending, and the last error is kept.
pub async fn read_stderr(
    stream: impl AsyncRead + Unpin,
    destination: &LogDestination,
    prefix: &str,
    is_ending: &AtomicBool,
    last_error: &LastError,
) {
    let mut file = match destination {
        LogDestination::File(log) => create(log, prefix),
        _ => None,
    };
    let mut panicked = false;
    each_line(stream, |line| {
        last_error.record(line, panicked);
        let is_trouble = panicked || is_warning_or_worse(line);
        if *destination == LogDestination::Forward {
            terminal::print(&format!("{prefix} {line}"));
        } else if is_trouble && !is_ending.load(Ordering::Relaxed) {
            terminal::print_over_progress(&format!("{prefix} {}", without_time(line)));
        }
        if let Some(file) = &mut file {
            // A full disk costs the log, not the job.
            let _ = writeln!(file, "{line}");
        }
        panicked = starts_panic(line);
    })
    .await;
}

/// Makes a log file. Few and short lines: not worth a trip to another thread.
fn create(log: &Path, prefix: &str) -> Option<std::fs::File> {
    let file = std::fs::File::create(log);
    file.map_err(|error| {
        let what = format!("{prefix} writing its log {}: {error}", log.display());
        terminal::print_over_progress(&what);
    })
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_address_is_taken_from_the_first_line() {
        let found = std::sync::Mutex::new(Vec::new());
        let text = &b"role=master; listening=127.0.0.1:4000;\n"[..];
        let ready = |address| found.lock().unwrap().push(address);
        read_stdout(text, StdoutContent::Readiness, ready).await;
        let text = &b"role=worker; train_samples=3;\n"[..];
        read_stdout(text, StdoutContent::Readiness, ready).await;
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
        let (to, is_ending) = (LogDestination::File(log.clone()), AtomicBool::new(false));
        let text = &b"   0.1s  INFO hello\nlast"[..];
        read_stderr(text, &to, "[worker 1]", &is_ending, &LastError::default()).await;
        assert_eq!(std::fs::read_to_string(log).unwrap(), "   0.1s  INFO hello\nlast\n");
    }
}
