//! Reads what processes write: metrics for machines, logs for files, trouble for people.

use crate::last_words::LastWords;
use crate::log_line::{Line, value};
use crate::logs::LogDestination;
use crate::outcome::Outcome;
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
    /// That it is ready; the rest is what a model printed.
    Readiness,
    /// That it is ready, then metrics, and how far the job is.
    Metrics,
    /// What a program of the user's prints: none of our business.
    UserProgram,
}

/// What a process says of itself on its standard output.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// It is ready, and listens here if it listens.
    Ready(Option<String>),
    /// So much of the job is done, from 0 to 1, and more of it in words.
    Progress(f64, String),
}

/// Reads the standard output of the process of this prefix: what it says of itself goes to `said`; what somebody may want
/// to read is passed on.
pub async fn read_stdout(
    stream: impl AsyncRead + Unpin,
    content: StdoutContent,
    prefix: &str,
    said: impl Fn(Said),
) {
    each_line(stream, |line| {
        if content != StdoutContent::UserProgram && line.starts_with("role=") {
            said(Said::Ready(value(line, "listening").map(str::to_owned)));
        } else if content == StdoutContent::Metrics && line.starts_with("progress=") {
            let share = value(line, "progress").and_then(|share| share.parse().ok());
            let text = value(line, "text").unwrap_or_default();
            said(Said::Progress(share.unwrap_or_default(), text.to_owned()));
        } else if content == StdoutContent::Readiness {
            terminal::print(&format!("{prefix} {line}"));
        } else {
            ps_cli::terminal::print(line);
        }
    })
    .await;
}

/// Reads a process's standard error: all of it goes to its log, what people should see to them as well, and the last
/// words are kept.
pub async fn read_stderr(
    stream: impl AsyncRead + Unpin,
    destination: &LogDestination,
    prefix: &str,
    is_ending: &AtomicBool,
    last_words: &LastWords,
) {
    let mut file = destination.file().and_then(|log| create(log, prefix));
    let mut panicked = false;
    each_line(stream, |line| {
        last_words.record(line, panicked);
        let is = Line::of(line);
        // What is wrong while the job ends is a consequence, and why it failed is for the master to say.
        let is_told = matches!(is, Line::Error(error) if Outcome::is_told(error));
        let is_late = (panicked || is.is_trouble()) && is_ending.load(Ordering::Relaxed);
        let is_hushed = is_told || is_late;
        match destination {
            // We say it last, so that nothing stands below it.
            LogDestination::Terminal(_) if matches!(is, Line::Error(_)) => (),
            LogDestination::Terminal(_) => terminal::print_log("", line),
            LogDestination::Forward => terminal::print(&format!("{prefix} {line}")),
            LogDestination::File(_) => {
                let is_shown = panicked || is.is_trouble() || is == Line::Printed;
                if is_shown && !is_hushed {
                    terminal::print_log(&format!("{prefix} "), line);
                }
            }
        }
        if let Some(file) = &mut file {
            // A full disk costs the log, not the job.
            let _ = writeln!(file, "{line}");
        }
        panicked = is == Line::Panic;
    })
    .await;
}

/// A log file, which goes on where one is. Few and short lines: not worth a trip to another thread.
fn create(log: &Path, prefix: &str) -> Option<std::fs::File> {
    let file = std::fs::File::options().create(true).append(true).open(log);
    file.map_err(|error| {
        let what = format!("{prefix} writing its log {}: {error}", log.display());
        terminal::print(&what);
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
        let said = |said| found.lock().unwrap().push(said);
        read_stdout(text, StdoutContent::Metrics, "[master]", said).await;
        let text = &b"role=worker; train_samples=3;\n"[..];
        read_stdout(text, StdoutContent::Readiness, "[worker 0]", said).await;
        let text = &b"progress=0.2500; text=training: 25 %, pass 1/4;\n"[..];
        read_stdout(text, StdoutContent::Metrics, "[master]", said).await;
        let expected = [
            Said::Ready(Some("127.0.0.1:4000".into())),
            Said::Ready(None),
            Said::Progress(0.25, "training: 25 %, pass 1/4".into()),
        ];
        assert_eq!(*found.lock().unwrap(), expected);
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
        let text = &b"2026-11-29T05:41:00.123456Z  INFO hello\nlast"[..];
        read_stderr(text, &to, "[worker 1]", &is_ending, &LastWords::default()).await;
        assert_eq!(
            std::fs::read_to_string(log).unwrap(),
            "2026-11-29T05:41:00.123456Z  INFO hello\nlast\n"
        );
    }
}
