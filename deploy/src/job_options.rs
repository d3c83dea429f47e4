//! The options of a job on their way to its processes: by one file, with a section for each role.
//!
//! What `psrun` was given, from wherever, is in its matches; an option that a role has by the same
//! name goes into the role's section. What is about one process is on its command line.

use crate::name::Role;
use crate::process::Process;
use anyhow::Context;
use clap::ArgMatches;
use ps_cli::given::given;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use toml::Value;

/// Options by long name, for each role.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobOptions {
    sections: BTreeMap<&'static str, BTreeMap<String, Value>>,
}

impl JobOptions {
    /// What these matches have for these processes and their command lines do not say.
    pub fn new<'a>(
        matches: &ArgMatches,
        processes: impl Iterator<Item = &'a Process> + Clone,
    ) -> Self {
        let section = |role: Role| {
            let of_role = processes.clone().filter(|it| it.name.role.command() == role.command());
            let said = |name: &str| of_role.clone().any(|process| process.says(name));
            let options = given(role.job_options(), matches).into_iter();
            // What our own file says is among the matches.
            let options = options.filter(|it| !said(&it.name) && it.name != "config");
            let options = options.map(|option| {
                let value = match option.is_flag {
                    true => Value::Boolean(true),
                    false => Value::String(option.value.to_string_lossy().into_owned()),
                };
                (option.name, value)
            });
            (role.command(), options.collect())
        };
        Self { sections: [Role::Master, Role::Server, Role::Worker].map(section).into() }
    }

    /// The command line that a process has without the file.
    pub fn command_line(&self, process: &Process) -> Vec<OsString> {
        let mut words = process.args.clone();
        let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
        let options = self.sections.get(process.name.role.command()).into_iter().flatten();
        let typed = options.map(|(name, value)| match value.as_str() {
            Some(value) => format!("--{name}={value}"),
            None => format!("--{name}"),
        });
        words.splice(end..end, typed.map(OsString::from));
        words
    }

    /// What the file says that `--config` names.
    ///
    /// # Errors
    /// An option has no text.
    pub fn text(&self) -> anyhow::Result<String> {
        let sections = toml::to_string(&self.sections)?;
        Ok(format!("# The options of the job, for the processes that psrun started.\n{sections}"))
    }

    /// Writes the file that `--config` names.
    ///
    /// # Errors
    /// It cannot be written; the message names it.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        std::fs::write(path, self.text()?).with_context(|| format!("writing {}", path.display()))
    }
}
