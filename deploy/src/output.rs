//! The folder that a run writes to.

use crate::cli::LocalArgs;
use crate::name::{Name, Role};
use anyhow::Context;
use ps_runtime::files::{Directory, DirectoryLock};
use std::io;
use std::path::{Path, PathBuf};

/// Where runs go when nobody says where.
const DEFAULT_PARENT: &str = "out";

/// The output folder of one run.
#[derive(Clone, Debug)]
pub struct Output {
    folder: PathBuf,
}

impl Output {
    /// Makes the folder asked for, or a new one, and makes sure that it can be written.
    ///
    /// # Errors
    /// The folder cannot be made or written; the message says what to do.
    pub fn create(asked: Option<&Path>) -> anyhow::Result<Self> {
        let folder = match asked {
            Some(folder) => folder.to_owned(),
            None => next_run(Path::new(DEFAULT_PARENT))
                .with_context(|| advice(DEFAULT_PARENT.as_ref()))?,
        };
        let output = Self { folder };
        let writable = std::fs::create_dir_all(output.logs())
            // What exists may still be read-only: only writing tells.
            .and_then(|()| tempfile::tempfile_in(&output.folder).map(drop));
        writable.with_context(|| advice(&output.folder))?;
        Ok(output)
    }

    /// Keeps other jobs of this command from the folder, for as long as it is held. (The master locks the folder itself.)
    ///
    /// # Errors
    /// Another job keeps it.
    pub async fn lock(&self) -> anyhow::Result<DirectoryLock> {
        Ok(Directory::open(&self.logs())?.lock_patiently("--out").await?)
    }

    /// An output folder that is there already, or not needed.
    #[cfg(test)]
    pub(crate) fn at(folder: &str) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What people may do next with the model, if the job had data that they can name.
    pub fn next_command(&self, args: &LocalArgs) -> Option<String> {
        let read = &args.job.model.read;
        let data = read.test.as_ref().or(args.job.model.data.as_ref())?;
        if !args.program.is_empty() || read.pipe || read.test_pipe {
            return None;
        }
        let (model, data) = (self.folder.display(), data.display());
        Some(format!(
            "next: psrun evaluate --model {model} --data {data}\n      \
             psrun predict --model {model} --data {data} --out predictions.csv\n      \
             psrun serve --model {model}"
        ))
    }

    /// The file with the options of the job's processes.
    pub fn options(&self) -> PathBuf {
        self.folder.join("processes.toml")
    }

    /// The log file of a process. The master has none: it talks to people directly.
    pub fn log(&self, name: Name) -> PathBuf {
        let file = match name.role {
            Role::Master | Role::Evaluator => format!("{}.log", name.role.word()),
            Role::Server | Role::Worker => format!("{}-{}.log", name.role.word(), name.index),
        };
        self.logs().join(file)
    }

    fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }
}

fn advice(folder: &Path) -> String {
    let shown = folder.display();
    format!("output folder {shown}: cannot write there; choose another with --out DIR")
}

/// Makes the first run-N that is free, and points `latest` at it.
fn next_run(parent: &Path) -> io::Result<PathBuf> {
    std::fs::create_dir_all(parent)?;
    let mut number = last_run(parent)? + 1;
    let folder = loop {
        let folder = parent.join(format!("run-{number}"));
        // Making it is what claims it: another psrun may be counting at the same time.
        match std::fs::create_dir(&folder) {
            Ok(()) => break folder,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    };
    point_latest(parent, number);
    Ok(folder)
}

fn last_run(parent: &Path) -> io::Result<u64> {
    let mut last = 0;
    for entry in std::fs::read_dir(parent)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("run-")?.parse().ok());
        last = last.max(number.unwrap_or(0));
    }
    Ok(last)
}

/// A convenience for people: not worth failing for.
fn point_latest(parent: &Path, number: u64) {
    let latest = parent.join("latest");
    if latest.is_symlink() {
        let _ = std::fs::remove_file(&latest);
    }
    let _ = std::os::unix::fs::symlink(format!("run-{number}"), latest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_gets_a_new_folder() {
        let parent = tempfile::tempdir().unwrap();
        let names = |_| next_run(parent.path()).unwrap().file_name().unwrap().to_owned();
        let runs: Vec<_> = (0..3).map(names).collect();
        assert_eq!(runs, ["run-1", "run-2", "run-3"]);
        assert_eq!(std::fs::read_link(parent.path().join("latest")).unwrap(), Path::new("run-3"));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let folder = file.path().join("out");
        let error = format!("{:#}", Output::create(Some(&folder)).unwrap_err());
        assert!(error.contains("--out"), "{error}");
        assert!(error.contains(&*folder.to_string_lossy()), "{error}");
    }

    #[test]
    fn logs_are_named_after_processes() {
        let output = Output::at("out/run-1");
        let name = |role, index| output.log(Name { role, index });
        assert_eq!(name(Role::Worker, 2), Path::new("out/run-1/logs/worker-2.log"));
        assert_eq!(name(Role::Evaluator, 0), Path::new("out/run-1/logs/evaluator.log"));
    }
}
