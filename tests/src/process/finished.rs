//! What a process left behind when it ended.

use std::process::ExitStatus;

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
        assert_eq!(found.code(), Some(code), "expected code {code}, {found}\n{written}");
        self
    }

    /// Fails unless standard error holds all of these words.
    ///
    /// # Panics
    /// One is missing.
    #[track_caller]
    pub fn expect_stderr(&self, words: &[&str]) -> &Self {
        for word in words {
            assert!(self.stderr.contains(word), "no `{word}` on stderr:\n{}", self.stderr);
        }
        self
    }

    /// The last value of a metric on standard output.
    pub fn metric(&self, name: &str) -> Option<f64> {
        metrics(&self.stdout, name).last().copied()
    }
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
