//! A process to start: who it is, and its command line.

use crate::contract::environment::Variables;
use crate::name::Name;
use std::ffi::OsString;
use std::path::PathBuf;

/// A process to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Who it is.
    pub name: Name,
    /// Its command line after the program.
    pub args: Vec<OsString>,
    /// Variables that it and what it starts are told, beside ours.
    pub variables: Variables,
    /// Threads it may compute with; `None` for a process that computes nothing.
    pub threads: Option<usize>,
    /// Where it kills itself, in a test.
    pub fail_point: Option<String>,
}

impl Process {
    /// Has a worker run this program instead of a model; no words: a model.
    pub fn runs(&mut self, program: &[OsString]) {
        if !program.is_empty() {
            self.args.push("--".into());
            self.args.extend_from_slice(program);
        }
    }

    /// Has it listen where a process before it did: who knows that address alone finds it there.
    pub fn listens_at(&mut self, address: &str) {
        let is_listen = |word: &&mut OsString| word.to_string_lossy().starts_with("--listen=");
        if let Some(word) = self.args.iter_mut().find(is_listen) {
            *word = format!("--listen={address}").into();
        }
    }

    /// Where its journal is, if it is a server with one.
    pub fn journal(&self) -> Option<PathBuf> {
        Some(self.folder("--journal=")?.join(ps_server::config::shard_folder(self.name.index)))
    }

    /// Where its state is, if it is a master that keeps one.
    pub fn state(&self) -> Option<PathBuf> {
        self.folder("--state=")
    }

    /// The folder that its command line names so.
    fn folder(&self, option: &str) -> Option<PathBuf> {
        let folder = |word: &OsString| Some(PathBuf::from(word.to_str()?.strip_prefix(option)?));
        self.args.iter().find_map(folder)
    }

    /// Whether its command line has the option.
    pub fn says(&self, option: &str) -> bool {
        let mut words = self.args.iter().take_while(|word| *word != "--");
        words.any(|word| {
            let word = word.to_string_lossy();
            let (name, _) = word.split_once('=').unwrap_or((&word, ""));
            name.strip_prefix("--") == Some(option)
        })
    }

    /// Whether it runs a program of the user's.
    pub fn has_program(&self) -> bool {
        self.args.iter().any(|word| word == "--")
    }
}
