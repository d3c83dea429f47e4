//! What a process wrote last: its own words for why it ended.

use crate::log_line::{self, Line};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Lines that are kept of what a model or a program printed: a traceback's end.
const LINES_MAX: usize = 12;
/// Characters of such a line that are kept.
const CHARACTERS_MAX: usize = 400;

/// The last words of a process, shared with whoever reads its standard error.
#[derive(Clone, Debug, Default)]
pub struct LastWords(Arc<Mutex<Messages>>);

#[derive(Debug, Default)]
struct Messages {
    /// `error: ps-worker: ...`, the last words of a program of ours.
    error: Option<String>,
    panic: Option<String>,
    /// An ERROR line of the log.
    logged: Option<String>,
    /// What is not of our log.
    printed: VecDeque<String>,
}

impl LastWords {
    /// Takes notice of a line; `panicked` says that the line before was the start of a panic.
    pub(crate) fn record(&self, line: &str, panicked: bool) {
        let mut messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match log_line::Line::of(line) {
            Line::Log { level: "ERROR", text } => messages.logged = Some(text.trim().to_owned()),
            Line::Log { .. } => (),
            Line::Error(text) => messages.error = Some(text.to_owned()),
            Line::Panic | Line::Printed => {
                if panicked {
                    messages.panic = Some(format!("panicked: {line}"));
                }
                messages.print(line);
            }
        }
    }

    /// The message that says most.
    pub fn message(&self) -> Option<String> {
        let messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = messages.error.as_ref().or(messages.panic.as_ref()).or(messages.logged.as_ref());
        // A traceback ends with what went wrong.
        // What our package said in a program of the user's is no cause.
        let is_theirs = |line: &&String| !line.trim().is_empty() && !line.starts_with("psrun: ");
        let printed = || messages.printed.iter().rev().find(is_theirs);
        ours.or_else(printed).cloned()
    }

    /// The last lines that the process printed beside its log.
    pub fn printed(&self) -> Vec<String> {
        let messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        messages.printed.iter().cloned().collect()
    }
}

impl Messages {
    fn print(&mut self, line: &str) {
        if self.printed.len() == LINES_MAX {
            self.printed.pop_front();
        }
        self.printed.push_back(line.chars().take(CHARACTERS_MAX).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-29T05:41:00.123456Z";

    #[test]
    fn the_last_error_says_most() {
        let last = LastWords::default();
        assert_eq!(last.message(), None);
        last.record("a line of a program", false);
        assert_eq!(last.message().unwrap(), "a line of a program");
        last.record("psrun: worker 0 of 2, 3 server(s)", false);
        assert_eq!(last.message().unwrap(), "a line of a program");
        last.record(&format!("{TIME} ERROR the report is lost"), false);
        assert_eq!(last.message().unwrap(), "the report is lost");
        last.record("thread 'main' panicked at src/main.rs:3:5:", false);
        last.record("index out of bounds", true);
        assert_eq!(last.message().unwrap(), "panicked: index out of bounds");
        last.record("error: ps-worker: reading a.csv: line 3", false);
        last.record(&format!("{TIME}  INFO bye"), false);
        assert_eq!(last.message().unwrap(), "reading a.csv: line 3");
    }

    #[test]
    fn the_end_of_what_was_printed_is_kept() {
        let last = LastWords::default();
        for number in 0..30 {
            last.record(&format!("line {number}"), false);
            last.record(&format!("{TIME}  INFO a step"), false);
        }
        last.record("", false);
        let printed = last.printed();
        assert_eq!((printed.len(), printed[0].as_str()), (LINES_MAX, "line 19"));
        assert_eq!(last.message().unwrap(), "line 29");
    }
}
