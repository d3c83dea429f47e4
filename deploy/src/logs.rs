//! Where what processes say to people goes.

use crate::name::{Name, Role};
use crate::output::Output;
use crate::streams;
use std::path::PathBuf;

/// Where the logs of a job's processes go.
#[derive(Clone, Debug)]
pub enum Logs {
    /// Each to a file of its own, trouble to the terminal as well; the master, which draws a
    /// progress bar, has the terminal.
    Files(Output),
    /// All to our standard error, each line with its process's name: a container's log.
    Through,
}

/// Where one process's standard error goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// It is ours.
    Terminal,
    /// To this file.
    File(PathBuf),
    /// Line by line to ours.
    Through,
}

impl Logs {
    /// Where this process's goes.
    pub fn destination(&self, name: Name) -> Destination {
        match self {
            Logs::Files(_) if name.role == Role::Master => Destination::Terminal,
            Logs::Files(output) => Destination::File(output.log(name)),
            Logs::Through => Destination::Through,
        }
    }

    /// Says something to people in our own name.
    pub fn say(&self, line: &str) {
        match self {
            Logs::Files(_) => streams::say(&format!("psrun: {line}")),
            Logs::Through => streams::pass_on(&format!("[psrun] {line}")),
        }
    }
}
