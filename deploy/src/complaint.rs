//! What a process last complained of: its own words for why it ended.

use crate::streams::without_time;
use std::sync::{Arc, Mutex, PoisonError};

/// The last complaint of a process, shared with whoever reads its standard error.
#[derive(Clone, Debug, Default)]
pub struct Complaint(Arc<Mutex<Heard>>);

#[derive(Debug, Default)]
struct Heard {
    /// `error: ps-worker: ...`, the last words of a program of ours.
    error: Option<String>,
    panic: Option<String>,
    /// An ERROR line of the log.
    logged: Option<String>,
}

impl Complaint {
    /// Takes notice of a line; `panicked` says that the line before was the start of a panic.
    pub(crate) fn hear(&self, line: &str, panicked: bool) {
        let text = without_time(line);
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = text.strip_prefix("error: ") {
            heard.error = Some(without_program(error).to_owned());
        } else if panicked {
            heard.panic = Some(format!("panicked: {text}"));
        } else if let Some(error) = text.strip_prefix("ERROR ") {
            heard.logged = Some(error.trim().to_owned());
        }
    }

    /// The words that say most.
    pub fn words(&self) -> Option<String> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let words = heard.error.as_ref().or(heard.panic.as_ref()).or(heard.logged.as_ref());
        words.cloned()
    }
}

/// The words without the program's name: who it was is said otherwise.
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
        let complaint = Complaint::default();
        assert_eq!(complaint.words(), None);
        complaint.hear("   0.1s ERROR the report is lost", false);
        assert_eq!(complaint.words().unwrap(), "the report is lost");
        complaint.hear("thread 'main' panicked at src/main.rs:3:5:", false);
        complaint.hear("index out of bounds", true);
        assert_eq!(complaint.words().unwrap(), "panicked: index out of bounds");
        complaint.hear("error: ps-worker: reading a.csv: line 3", false);
        complaint.hear("   0.2s  INFO bye", false);
        assert_eq!(complaint.words().unwrap(), "reading a.csv: line 3");
    }
}
