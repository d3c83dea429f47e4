//! The last error that a process wrote: its own words for why it ended.

use crate::log_line::without_time;
use std::sync::{Arc, Mutex, PoisonError};

/// The last error of a process, shared with whoever reads its standard error.
#[derive(Clone, Debug, Default)]
pub struct LastError(Arc<Mutex<Messages>>);

#[derive(Debug, Default)]
struct Messages {
    /// `error: ps-worker: ...`, the last words of a program of ours.
    error: Option<String>,
    panic: Option<String>,
    /// An ERROR line of the log.
    logged: Option<String>,
}

impl LastError {
    /// Takes notice of a line; `panicked` says that the line before was the start of a panic.
    pub(crate) fn record(&self, line: &str, panicked: bool) {
        let text = without_time(line);
        let mut messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = text.strip_prefix("error: ") {
            messages.error = Some(without_program(error).to_owned());
        } else if panicked {
            messages.panic = Some(format!("panicked: {text}"));
        } else if let Some(error) = text.strip_prefix("ERROR ") {
            messages.logged = Some(error.trim().to_owned());
        }
    }

    /// The message that says most.
    pub fn message(&self) -> Option<String> {
        let messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        messages.error.as_ref().or(messages.panic.as_ref()).or(messages.logged.as_ref()).cloned()
    }
}

/// The message without the program's name: who it was is said otherwise.
fn without_program(error: &str) -> &str {
    match error.split_once(": ") {
        Some(("ps-master" | "ps-server" | "ps-worker", rest)) => rest,
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_says_most() {
        let last = LastError::default();
        assert_eq!(last.message(), None);
        last.record("   0.1s ERROR the report is lost", false);
        assert_eq!(last.message().unwrap(), "the report is lost");
        last.record("thread 'main' panicked at src/main.rs:3:5:", false);
        last.record("index out of bounds", true);
        assert_eq!(last.message().unwrap(), "panicked: index out of bounds");
        last.record("error: ps-worker: reading a.csv: line 3", false);
        last.record("   0.2s  INFO bye", false);
        assert_eq!(last.message().unwrap(), "reading a.csv: line 3");
    }
}
