//! Where what processes say to people goes.

use crate::name::{Name, Role};
use crate::output::Output;
use crate::terminal;
use std::path::PathBuf;

/// Where the logs of a job's processes go.
#[derive(Clone, Debug)]
pub enum Logs {
    /// Each to a file of its own, warnings and errors to the terminal as well; the master, which
    /// draws a progress bar, has the terminal.
    Files(Output),
    /// All to our standard error, each line with its process's name: a container's log.
    Forward,
}

/// Where one process's standard error goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogDestination {
    /// It is ours.
    Inherit,
    /// To this file.
    File(PathBuf),
    /// Line by line to ours.
    Forward,
}

impl Logs {
    /// Where this process's goes.
    pub fn destination(&self, name: Name) -> LogDestination {
        match self {
            Logs::Files(_) if name.role == Role::Master => LogDestination::Inherit,
            Logs::Files(output) => LogDestination::File(output.log(name)),
            Logs::Forward => LogDestination::Forward,
        }
    }

    /// Says something to people in our own name.
    pub fn say(&self, line: &str) {
        match self {
            Logs::Files(_) => terminal::print_over_progress(&format!("psrun: {line}")),
            Logs::Forward => terminal::print(&format!("[psrun] {line}")),
        }
    }
}
