//! Where what processes say to people goes.

use crate::name::{Name, Role};
use crate::output::Output;
use crate::terminal;
use std::path::{Path, PathBuf};

/// Where the logs of a job's processes go.
#[derive(Clone, Debug)]
pub enum Logs {
    /// Each to a file of its own; to the terminal go the master's, and of the others warnings, errors and what is not
    /// of our log: what a model or a program of the user's prints.
    Files(Output),
    /// All to our standard error, each line with its process's name: a container's log.
    Forward,
}

/// Where one process's standard error goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogDestination {
    /// To this file, and to the terminal as our own words.
    Terminal(PathBuf),
    /// To this file, and what people should see of it to the terminal, with its process's name.
    File(PathBuf),
    /// Line by line to our standard error.
    Forward,
}

impl LogDestination {
    /// Begins anew: what another job has left there is gone. Whoever is started again goes on.
    pub fn begin(&self) {
        if let Some(file) = self.file() {
            // Where it stays, the log is longer.
            let _ = std::fs::remove_file(file);
        }
    }

    /// The file that has all of it.
    pub fn file(&self) -> Option<&Path> {
        match self {
            LogDestination::Terminal(file) | LogDestination::File(file) => Some(file),
            LogDestination::Forward => None,
        }
    }
}

impl Logs {
    /// Where this process's goes.
    pub fn destination(&self, name: Name) -> LogDestination {
        match self {
            Logs::Files(output) if name.role == Role::Master => {
                LogDestination::Terminal(output.log(name))
            }
            Logs::Files(output) => LogDestination::File(output.log(name)),
            Logs::Forward => LogDestination::Forward,
        }
    }

    /// Whether people are shown how far the job is in one row of a terminal.
    pub fn has_bar(&self) -> bool {
        matches!(self, Logs::Files(_))
    }

    /// Says something to people in our own name.
    pub fn say(&self, line: &str) {
        match self {
            Logs::Files(_) => terminal::print(&format!("psrun: {line}")),
            Logs::Forward => terminal::print(&format!("[psrun] {line}")),
        }
    }
}
