//! A list of processes with their arguments: here for a job on one machine.

use crate::cli::LocalArgs;
use crate::name::{Name, Role};
use crate::output::Output;
use crate::supervision::Rules;
use ps_worker::config::ModelArgs;
use ps_worker::threads::fair_share;
use std::ffi::{OsStr, OsString};
use std::time::{SystemTime, UNIX_EPOCH};

/// A process to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Who it is.
    pub name: Name,
    /// Its command line after the program.
    pub args: Vec<OsString>,
    /// Threads it may compute with; `None` for a process that computes nothing.
    pub threads: Option<usize>,
}

/// Where the master is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lead {
    /// It is this process, which says where it listens.
    Here(Process),
    /// It is elsewhere, at this address.
    At(String),
}

impl Process {
    /// Has a worker run this program instead of a model; no words: a model.
    pub fn runs(&mut self, program: &[OsString]) {
        if !program.is_empty() {
            self.args.push("--".into());
            self.args.extend_from_slice(program);
        }
    }

    /// Whether it runs a program of the user's.
    pub fn has_program(&self) -> bool {
        self.args.iter().any(|word| word == "--")
    }
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
}

impl Plan {
    /// The job on this machine that these options ask for.
    pub fn new(args: &LocalArgs, job: String, output: &Output) -> Self {
        let servers = args.instances;
        let workers = (args.instances - 1).max(1);
        let threads = args.model.threads.unwrap_or_else(|| fair_share(workers));
        let mut master = vec![
            option("listen", ANY_PORT),
            option("servers", servers.to_string()),
            option("workers", workers.to_string()),
            option("out", output.folder()),
        ];
        master.extend(args.training.to_args().into_iter().map(OsString::from));
        master.extend(about_model(&args.model));
        let kept: Vec<_> = args.checkpoints.iter().map(|dir| option("checkpoints", dir)).collect();
        master.extend(kept.iter().cloned());
        let maker = Maker { job: &job, log: &args.process.log.to_string(), threads };
        let worker = worker_args(&args.model, threads);
        let servers_here = (0..servers).map(|shard| {
            let own = [option("shard", shard.to_string()), option("listen", ANY_PORT)];
            maker.process(Role::Server, shard, [&own[..], &kept].concat())
        });
        let evaluator = [&worker[..], &[option("role", "evaluator")]].concat();
        let workers_here = (0..workers).map(|rank| {
            let own = [option("worker-index", rank.to_string())];
            let mut process = maker.process(Role::Worker, rank, [&worker[..], &own].concat());
            process.runs(&args.program);
            process
        });
        let evaluator = maker.process(Role::Evaluator, 0, evaluator);
        // Nobody but the program knows what its model is and how to measure it.
        let evaluator = args.program.is_empty().then_some(evaluator);
        Self {
            summary: format!(
                "{servers} servers, {workers} workers, a master and an evaluator; output in {}",
                output.folder().display()
            ),
            lead: Lead::Here(maker.process(Role::Master, 0, master)),
            rules: Rules { has_program: !args.program.is_empty(), ..Rules::LOCAL },
            members: servers_here.chain(evaluator).chain(workers_here).collect(),
            host: String::new(),
            job,
        }
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
        Self { host, job, summary, lead, rules, members }
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

/// What all processes of a job have in common.
pub(crate) struct Maker<'a> {
    pub(crate) job: &'a str,
    pub(crate) log: &'a str,
    /// For each process that computes.
    pub(crate) threads: usize,
}

impl Maker<'_> {
    pub(crate) fn process(&self, role: Role, index: u32, own: Vec<OsString>) -> Process {
        let mut args = vec![role.command().into(), option("job-id", self.job)];
        args.extend([option("log", self.log), "--exit-with-parent".into()]);
        args.extend(own);
        let computes = matches!(role, Role::Worker | Role::Evaluator);
        Process { name: Name { role, index }, args, threads: computes.then_some(self.threads) }
    }
}

/// Any free port of this machine; the process says which on its standard output.
const ANY_PORT: &str = "127.0.0.1:0";

/// What workers and the evaluator have in common.
pub(crate) fn worker_args(model: &ModelArgs, threads: usize) -> Vec<OsString> {
    let options = ModelArgs { threads: Some(threads), ..model.clone() };
    options.to_args().into_iter().map(OsString::from).collect()
}

/// What the master writes about the model beside it.
pub(crate) fn about_model(model: &ModelArgs) -> Vec<OsString> {
    let mut about = vec![option("model", &model.model)];
    let shape = model.shape.given().into_iter();
    about.extend(shape.map(|(name, value)| option("model-option", format!("{name}={value}"))));
    about.push(option("data-format", model.read.format.name()));
    about
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn plan(options: &str) -> Plan {
        let words = ["psrun", "local"].into_iter().chain(options.split_whitespace());
        let Command::Local(args) = Cli::try_parse_from(words).unwrap().command else {
            panic!("not local");
        };
        let output = Output::at("out/run-1");
        Plan::new(&args, "job-1".into(), &output)
    }

    fn count(processes: &[Process], role: Role) -> usize {
        processes.iter().filter(|process| process.name.role == role).count()
    }

    #[test]
    fn n_instances_are_n_servers_and_one_worker_less() {
        for (instances, servers, workers) in [(1, 1, 1), (2, 2, 1), (3, 3, 2), (8, 8, 7)] {
            let plan = plan(&format!("--instances {instances}"));
            let members = plan.members("127.0.0.1:5");
            assert_eq!(count(&members, Role::Server), servers);
            assert_eq!(count(&members, Role::Worker), workers);
            assert_eq!(count(&members, Role::Evaluator), 1);
            assert_eq!(count(&members, Role::Master), 0);
        }
    }

    #[test]
    fn training_options_go_to_the_master_alone() {
        let plan = plan("--lr 0.5 --passes 3");
        let Lead::Here(master) = &plan.lead else { panic!("{plan:?}") };
        assert!(master.args.contains(&"--lr=0.5".into()), "{master:?}");
        assert!(master.args.contains(&"--out=out/run-1".into()), "{master:?}");
        assert_eq!(master.threads, None);
        for member in plan.members("127.0.0.1:5") {
            assert!(!member.args.contains(&"--lr=0.5".into()), "{member:?}");
            assert!(member.args.contains(&"--job-id=job-1".into()), "{member:?}");
            assert!(member.args.contains(&"--master=127.0.0.1:5".into()), "{member:?}");
        }
    }

    #[test]
    fn workers_share_the_cores() {
        let shared = plan("--instances 3").members("127.0.0.1:5");
        let cores = std::thread::available_parallelism().unwrap().get();
        let worker = shared.last().unwrap();
        assert_eq!(worker.name.to_string(), "worker 1");
        assert_eq!(worker.threads, Some((cores / 2).max(1)));
        let asked = plan("--threads 7").members("127.0.0.1:5");
        assert!(asked.last().unwrap().args.contains(&"--threads=7".into()));
    }

    #[test]
    fn an_address_to_listen_on_is_not_one_to_connect_to() {
        let plan = plan("--instances 1");
        for (listening, told) in [("0.0.0.0:5", "127.0.0.1:5"), ("127.0.0.2:5", "127.0.0.2:5")] {
            let member = &plan.members(listening)[0];
            assert_eq!(member.args[..2], ["ps-server".into(), option("master", told)]);
        }
    }

    #[test]
    fn each_run_has_its_own_job() {
        assert_eq!(job_id("mine"), "mine");
        assert!(job_id("default").starts_with("local-"));
    }
}
