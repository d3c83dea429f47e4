//! A list of processes with their arguments: here for a job on one machine.

use crate::cli::{LocalArgs, OnServerLoss};
use crate::contract::environment::Variables;
use crate::fail_points::FailPoints;
use crate::job_options::JobOptions;
use crate::name::{Name, Role};
use crate::output::Output;
use crate::process::Process;
use crate::supervision::Rules;
use crate::workers_per_instance::{local_workers, usable_gpus};
use anyhow::Context;
use clap::ArgMatches;
use ps_cli::TrainingArgs;
use ps_core::schema::SCHEMA_FILE;
use ps_server::config::DurabilityArgs;
use ps_worker::threads::fair_share;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the master is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lead {
    /// It is this process, which says where it listens.
    Here(Process),
    /// It is elsewhere, at this address.
    At(String),
}

/// The processes of a job on this machine, which are all of them or one host's.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names the job to every process of it.
    pub job: String,
    /// What the job is, for people.
    pub summary: String,
    /// Which host of the job this is; empty for all of a job.
    pub host: String,
    /// Who leads it.
    pub lead: Lead,
    /// What follows from the ends of its processes.
    pub rules: Rules,
    members: Vec<Process>,
    /// One of its processes is killed in about so much time, again and again.
    pub chaos: Option<Duration>,
    /// Where its processes kill themselves, in a test.
    pub fail_points: FailPoints,
    /// What they are told beside their command lines.
    options: JobOptions,
}

impl Plan {
    /// The job on this machine that these options, which the matches are too, ask for.
    pub fn new(args: &LocalArgs, matches: &ArgMatches, job: String, output: &Output) -> Self {
        let servers = args.instances;
        let each = args.job.workers.workers_per_instance;
        let gpus = usable_gpus(args.job.model.device, !args.program.is_empty());
        let workers = local_workers(args.instances, each, gpus);
        let threads = args.job.model.threads.unwrap_or_else(|| fair_share(workers));
        let process = &args.job.process;
        let stop_timeout_s = process.stop_timeout_s;
        let common = Common { job: &job, log: &process.log.to_string(), threads, stop_timeout_s };
        // Where they lie is said as it is; a file of options has nothing but text.
        let checkpoints = args.checkpoints.as_ref().map(|folder| option("checkpoints", folder));
        let mut master = vec![
            option("listen", ANY_PORT),
            option("servers", servers.to_string()),
            option("workers", workers.to_string()),
            option("out", output.folder()),
        ];
        master.extend(checkpoints.clone());
        master.extend(loop_options(&args.job.training, !args.program.is_empty()));
        let durability = &args.job.durability;
        let journals = journals(durability, || output.folder().join(JOURNAL_FOLDER));
        master.extend(state(durability, || output.folder().join(JOURNAL_FOLDER)));
        let servers_here = (0..servers).map(|shard| {
            let mut own = vec![option("shard", shard.to_string()), option("listen", ANY_PORT)];
            own.extend(checkpoints.clone());
            own.extend(journals.clone());
            common.process(Role::Server, shard, own)
        });
        let workers_here = (0..workers).map(|rank| {
            let mut own = vec![option("worker-index", rank.to_string())];
            own.extend(local_place(rank, workers));
            let mut process = common.process(Role::Worker, rank, own);
            process.runs(&args.program);
            process
        });
        let evaluator = evaluator(&common, args, output);
        let plan = Self {
            summary: format!(
                "{servers} servers, {workers} workers, a master and an evaluator; output in {}",
                output.folder().display()
            ),
            lead: Lead::Here(common.process(Role::Master, 0, master)),
            rules: Rules {
                has_program: !args.program.is_empty(),
                has_journals: durability.has_journals(),
                keeps_journals: durability.keep_journal,
                servers_go_back: args.on_server_loss == OnServerLoss::Continue
                    && !durability.has_journals(),
                after_signal: process.stop_times().all,
                ..Rules::LOCAL
            },
            members: servers_here.chain(evaluator).chain(workers_here).collect(),
            host: String::new(),
            chaos: args.chaos.map(Duration::from_secs_f64),
            fail_points: FailPoints::default(),
            options: JobOptions::default(),
            job,
        };
        plan.with_options(matches)
    }

    /// One host's part of a job.
    pub fn of_host(
        host: String,
        job: String,
        summary: String,
        lead: Lead,
        members: Vec<Process>,
        rules: Rules,
    ) -> Self {
        let (chaos, options) = (None, JobOptions::default());
        let fail_points = FailPoints::default();
        Self { host, job, summary, lead, rules, members, chaos, fail_points, options }
    }

    /// Its processes are told what of these matches is for them.
    pub fn with_options(mut self, matches: &ArgMatches) -> Self {
        let lead = if let Lead::Here(master) = &self.lead { Some(master) } else { None };
        self.options = JobOptions::new(matches, lead.into_iter().chain(&self.members));
        self
    }

    /// Whoever needs the data finds them at this path.
    pub fn share_data(&mut self, path: &Path) {
        let need = |process: &&mut Process| process.threads.is_some();
        for process in self.processes_mut().filter(need) {
            process.args.push(option("shared-data", path));
        }
    }

    /// Who is started again, by name; everybody but the master is told where that is. A master that nobody has heard of begins
    /// as if it were the first one.
    pub fn again(&self, name: Name, master: Option<&str>) -> Option<Process> {
        match &self.lead {
            Lead::Here(lead) if lead.name == name => {
                let mut process = lead.clone();
                process.args.extend(master.is_some().then(|| "--go-on".into()));
                Some(process)
            }
            _ => {
                let mut process =
                    self.members(master?).into_iter().find(|process| process.name == name)?;
                if name.role == Role::Server && self.rules.servers_go_back {
                    process.args.push("--go-back".into());
                }
                Some(process)
            }
        }
    }

    fn processes_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        let lead = if let Lead::Here(master) = &mut self.lead { Some(master) } else { None };
        lead.into_iter().chain(&mut self.members)
    }

    /// What its processes are told, but for what is about one process, as text.
    ///
    /// # Errors
    /// It is no text.
    pub fn options_text(&self) -> anyhow::Result<String> {
        self.options.text()
    }

    /// The folders of its servers' journals.
    pub fn journals(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.members.iter().filter_map(Process::journal)
    }

    /// Removes what an earlier life of this job left of its journals and its master's state: it is of no use to another life.
    ///
    /// # Errors
    /// It cannot be removed; the message names it.
    pub fn forget_journals(&self) -> anyhow::Result<()> {
        let lead = if let Lead::Here(master) = &self.lead { master.state() } else { None };
        for folder in self.journals().chain(lead) {
            if folder.exists() {
                std::fs::remove_dir_all(&folder)
                    .with_context(|| format!("removing {}", folder.display()))?;
            }
        }
        Ok(())
    }

    /// Writes what the processes are told into this file, and has them read it.
    ///
    /// # Errors
    /// It cannot be written; the message names it.
    pub fn write_options(&mut self, path: &Path) -> anyhow::Result<()> {
        self.options.write(path)?;
        for process in self.processes_mut() {
            process.args.insert(1, option("config", path));
        }
        Ok(())
    }

    /// Has the command lines of the processes say what they are told: where no file can be written.
    pub fn say_options(&mut self) {
        let options = std::mem::take(&mut self.options);
        for process in self.processes_mut() {
            process.args = options.command_line(process);
        }
    }

    /// The words of the command line that a process would have without a file of options.
    pub fn words(&self, process: &Process) -> Vec<String> {
        let words = self.options.command_line(process).into_iter();
        words.map(|word| word.to_string_lossy().into_owned()).collect()
    }

    /// The command lines that it amounts to, as a person would type them.
    pub fn command_lines(&self) -> Vec<String> {
        let (master, address) = match &self.lead {
            Lead::Here(process) => (Some(process.clone()), "MASTER"),
            Lead::At(address) => (None, address.as_str()),
        };
        let processes = master.into_iter().chain(self.members(address));
        let line = |it: Process| format!("{}: {}", it.name, self.words(&it).join(" "));
        processes.map(line).collect()
    }

    /// Everybody but the master, servers first, told where the master is.
    pub fn members(&self, master: &str) -> Vec<Process> {
        let master = option("master", reachable(master));
        let told = self.members.iter().cloned().map(|mut process| {
            // After the command, before whatever must stay last.
            process.args.insert(1, master.clone());
            process
        });
        told.collect()
    }
}

/// An address to connect to, from one that is listened on.
fn reachable(listening: &str) -> String {
    match listening.rsplit_once(':') {
        Some(("0.0.0.0" | "[::]", port)) => format!("127.0.0.1:{port}"),
        _ => listening.to_owned(),
    }
}

/// What all processes of a job have in common on their command lines.
pub(crate) struct Common<'a> {
    pub(crate) job: &'a str,
    pub(crate) log: &'a str,
    /// For each process that computes.
    pub(crate) threads: usize,
    /// Seconds in which all is over after a signal.
    pub(crate) stop_timeout_s: u64,
}

impl Common<'_> {
    pub(crate) fn process(&self, role: Role, index: u32, own: Vec<OsString>) -> Process {
        let mut args = vec![role.command().into(), option("job-id", self.job)];
        args.extend([
            option("log", self.log),
            option("stop-timeout-s", self.stop_timeout_s.to_string()),
            "--exit-with-parent".into(),
        ]);
        let computes = matches!(role, Role::Worker | Role::Evaluator);
        args.extend(computes.then(|| option("threads", self.threads.to_string())));
        args.extend(own);
        let (name, threads) = (Name { role, index }, computes.then_some(self.threads));
        Process { name, args, variables: Variables::new(), threads, fail_point: None }
    }
}

/// Which of its machine's workers a worker is, where there are several.
pub(crate) fn local_place(index: u32, workers: u32) -> Vec<OsString> {
    let options = [("local-index", index), ("local-workers", workers)];
    let said = options.into_iter().filter(|_| workers > 1);
    said.map(|(name, value)| option(name, value.to_string())).collect()
}

/// The evaluator, unless workers run a program: nobody else knows what its model is and how to measure it.
fn evaluator(common: &Common<'_>, args: &LocalArgs, output: &Output) -> Option<Process> {
    let own = vec![
        option("role", "evaluator"),
        option("write-schema", output.folder().join(SCHEMA_FILE)),
        option("keep-in", args.checkpoints.as_deref().unwrap_or(output.folder())),
    ];
    args.program.is_empty().then(|| common.process(Role::Evaluator, 0, own))
}

/// What servers are told of where their journals are.
pub(crate) fn journals(
    durability: &DurabilityArgs,
    otherwise: impl FnOnce() -> PathBuf,
) -> Option<OsString> {
    durability.journals(otherwise).map(|folder| option("journal", folder))
}

/// What the master is told of where its state is.
pub(crate) fn state(
    durability: &DurabilityArgs,
    otherwise: impl FnOnce() -> PathBuf,
) -> Option<OsString> {
    durability.journals(otherwise).map(|folder| option("state", folder.join(STATE_FOLDER)))
}

/// The master's folder beside the servers' journals.
pub(crate) const STATE_FOLDER: &str = "master";

/// Where journals are when nobody says where.
pub(crate) const JOURNAL_FOLDER: &str = "journal";

/// Any free port of this machine; the process says which on its standard output.
const ANY_PORT: &str = "127.0.0.1:0";

/// One argument, `--name=value`: a value that starts with a dash stays a value.
pub(crate) fn option(name: &str, value: impl AsRef<OsStr>) -> OsString {
    let mut argument = OsString::from(format!("--{name}="));
    argument.push(value);
    argument
}

/// The job id that was asked for, or one that no other job on this machine has.
pub fn job_id(asked: &str) -> String {
    if asked != DEFAULT_JOB {
        return asked.to_owned();
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("local-{}-{}", since.as_secs(), std::process::id())
}

/// What `--job-id` is when nobody sets it.
pub const DEFAULT_JOB: &str = "default";

/// What a master is told of a job whose steps are a loop of the user's: the course of its rate is that loop's own, unless
/// somebody asks for one.
pub fn loop_options(training: &TrainingArgs, has_program: bool) -> Option<OsString> {
    (has_program && training.schedule.is_none()).then(|| option("schedule", "constant"))
}

#[cfg(test)]
mod tests;
