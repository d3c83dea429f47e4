//! A worker's part in a job, as environment variables: what a program that `ps-worker -- CMD` starts
//! is told, and how a program of the user's reads it.

use ps_core::ids::{Epoch, Incarnation, WorkerId};
use std::str::FromStr;

/// A worker's part in a job with a master, where somebody else speaks to the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerEnvironment {
    /// The job (`PS_JOB_ID`).
    pub job: String,
    /// Address of shard i at position i (`PS_SERVER_ADDRESSES`, joined by commas).
    pub servers: Vec<String>,
    /// Which of the workers it is (`PS_WORKER_INDEX`).
    pub worker: WorkerId,
    /// How many workers the job has (`PS_WORKERS`).
    pub workers: u32,
    /// The worker's incarnation (`PS_INCARNATION`).
    pub incarnation: Incarnation,
    /// The epoch of the shard map (`PS_EPOCH`).
    pub epoch: Epoch,
    /// The master, who has samples for programs that want some of it (`PS_PROGRAM_MASTER`).
    pub master: Option<String>,
    /// Where the job is (`PS_RESUMED_PASS`, `PS_RESUMED_CHECKPOINT`); `None` at its beginning.
    pub resumed: Option<Resumed>,
}

/// Where a job is that a program joins late, or that goes on from a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The pass that is open, from 0, where programs take their samples from the master.
    pub pass: u64,
    /// The checkpoint that it goes on from, if it does.
    pub checkpoint: Option<u64>,
}

/// Why the variables say nothing that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    /// One is missing.
    #[error("environment variable {0}: it is not set; `ps-worker -- CMD` sets it for its program")]
    Missing(&'static str),
    /// How to train makes no sense.
    #[error("environment variables PS_*: {0}")]
    Settings(String),
    /// One has a value that it cannot have.
    #[error("environment variable {name}: found `{found}`, expected {expected}")]
    Invalid { name: &'static str, found: String, expected: &'static str },
}

const JOB: &str = "PS_JOB_ID";
const SERVERS: &str = "PS_SERVER_ADDRESSES";
const WORKER: &str = "PS_WORKER_INDEX";
const WORKERS: &str = "PS_WORKERS";
/// The variable whose presence says that somebody else speaks to the master.
pub const INCARNATION: &str = "PS_INCARNATION";
const EPOCH: &str = "PS_EPOCH";
const MASTER: &str = "PS_PROGRAM_MASTER";
const RESUMED_PASS: &str = "PS_RESUMED_PASS";
const RESUMED_CHECKPOINT: &str = "PS_RESUMED_CHECKPOINT";
/// The variable with all of a job's settings, as JSON: for programs that do not read options.
pub const SETTINGS: &str = "PS_SETTINGS";

impl WorkerEnvironment {
    /// What this process was told; `None` when nobody told it anything.
    ///
    /// # Errors
    /// A part of it is missing or no number.
    pub fn from_env() -> Result<Option<Self>, Error> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// As [`Self::from_env`], from any variables.
    ///
    /// # Errors
    /// A part of it is missing or no number.
    pub fn from_variables(
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Option<Self>, Error> {
        if variable(INCARNATION).is_none() {
            return Ok(None);
        }
        let servers = variable(SERVERS).ok_or(Error::Missing(SERVERS))?;
        Ok(Some(Self {
            job: variable(JOB).ok_or(Error::Missing(JOB))?,
            servers: servers.split(',').map(|address| address.trim().to_owned()).collect(),
            worker: number(&variable, WORKER)?,
            workers: number(&variable, WORKERS)?,
            incarnation: number(&variable, INCARNATION)?,
            epoch: number(&variable, EPOCH)?,
            master: variable(MASTER),
            resumed: resumed(&variable)?,
        }))
    }

    /// The variables that say it.
    pub fn to_variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            (JOB, self.job.clone()),
            (SERVERS, self.servers.join(",")),
            (WORKER, self.worker.to_string()),
            (WORKERS, self.workers.to_string()),
            (INCARNATION, self.incarnation.to_string()),
            (EPOCH, self.epoch.to_string()),
        ];
        variables.extend(self.master.clone().map(|address| (MASTER, address)));
        if let Some(Resumed { pass, checkpoint }) = self.resumed {
            variables.push((RESUMED_PASS, pass.to_string()));
            variables.extend(checkpoint.map(|number| (RESUMED_CHECKPOINT, number.to_string())));
        }
        variables
    }
}

fn resumed(variable: &impl Fn(&'static str) -> Option<String>) -> Result<Option<Resumed>, Error> {
    if variable(RESUMED_PASS).is_none() {
        return Ok(None);
    }
    let has_checkpoint = variable(RESUMED_CHECKPOINT).is_some();
    let checkpoint = has_checkpoint.then(|| number(variable, RESUMED_CHECKPOINT)).transpose()?;
    Ok(Some(Resumed { pass: number(variable, RESUMED_PASS)?, checkpoint }))
}

fn number<T: FromStr>(
    variable: &impl Fn(&'static str) -> Option<String>,
    name: &'static str,
) -> Result<T, Error> {
    let found = variable(name).ok_or(Error::Missing(name))?;
    let invalid = |found| Error::Invalid { name, found, expected: "a number" };
    found.trim().parse().map_err(|_| invalid(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn environment() -> WorkerEnvironment {
        WorkerEnvironment {
            job: "j".into(),
            servers: vec!["a:1".into(), "b:2".into()],
            worker: 1,
            workers: 2,
            incarnation: 7,
            epoch: 3,
            master: Some("m:1".into()),
            resumed: Some(Resumed { pass: 2, checkpoint: Some(5) }),
        }
    }

    fn read(
        variables: &BTreeMap<&'static str, String>,
    ) -> Result<Option<WorkerEnvironment>, Error> {
        WorkerEnvironment::from_variables(|name| variables.get(name).cloned())
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(
            read(&environment().to_variables().into_iter().collect()),
            Ok(Some(environment()))
        );
        assert_eq!(read(&BTreeMap::new()), Ok(None));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let all: BTreeMap<_, _> = environment().to_variables().into_iter().collect();
        for name in [JOB, SERVERS, WORKER, WORKERS, EPOCH] {
            let mut some = all.clone();
            some.remove(name);
            assert_eq!(read(&some), Err(Error::Missing(name)));
        }
        let mut wrong = all;
        wrong.insert(EPOCH, "soon".into());
        assert!(read(&wrong).unwrap_err().to_string().contains("PS_EPOCH: found `soon`"));
    }
}
