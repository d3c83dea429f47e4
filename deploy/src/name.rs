//! Who a process is in the job.

use std::fmt;

/// What a process is in the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Coordinates, computes nothing.
    Master,
    /// Holds one shard.
    Server,
    /// Measures the model, never pushes.
    Evaluator,
    /// Computes gradients.
    Worker,
}

impl Role {
    /// The word for people, also the start of the log file's name.
    pub fn word(self) -> &'static str {
        match self {
            Role::Master => "master",
            Role::Server => "server",
            Role::Evaluator => "evaluator",
            Role::Worker => "worker",
        }
    }

    /// The command that makes this binary this role.
    pub fn command(self) -> &'static str {
        match self {
            Role::Master => "ps-master",
            Role::Server => "ps-server",
            Role::Evaluator | Role::Worker => "ps-worker",
        }
    }
}

/// One process of the job: its role and its shard or rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// What it is.
    pub role: Role,
    /// Shard of a server, rank of a worker, 0 for the others.
    pub index: u32,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            Role::Master | Role::Evaluator => f.write_str(self.role.word()),
            Role::Server | Role::Worker => write!(f, "{} {}", self.role.word(), self.index),
        }
    }
}
