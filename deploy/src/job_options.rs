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
use std::path::Path;

/// Options by long name, for each role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobOptions {
    sections: BTreeMap<&'static str, BTreeMap<String, String>>,
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
            let options = options.filter(|option| !said(&option.name));
            let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
            let options = options.map(|option| (option.name, text(option.value)));
            (role.command(), options.collect())
        };
        Self { sections: [Role::Master, Role::Server, Role::Worker].map(section).into() }
    }

    /// The words of the command line that a process would have without the file.
    pub fn words(&self, process: &Process) -> Vec<String> {
        let words = process.args.iter().map(|word| word.to_string_lossy().into_owned());
        let mut words: Vec<String> = words.collect();
        let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
        let options = self.sections.get(process.name.role.command()).into_iter().flatten();
        let typed = options.map(|(name, value)| match value.as_str() {
            "true" => format!("--{name}"),
            value => format!("--{name}={value}"),
        });
        words.splice(end..end, typed);
        words
    }

    /// Writes the file that `--config` names.
    ///
    /// # Errors
    /// It cannot be written; the message names it.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let sections = toml::to_string(&self.sections)?;
        let text =
            format!("# The options of the job, for the processes that psrun started.\n{sections}");
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }
}
