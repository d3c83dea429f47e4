//! From a number of instances to a list of processes with their arguments.

use crate::cli::LocalArgs;
use crate::name::{Name, Role};
use crate::output::Output;
use ps_worker::config::ModelArgs;
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

/// The processes of a job on this machine.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names the job to every process of it.
    pub job: String,
    /// Servers of the job.
    pub servers: u32,
    /// Workers of the job, without the evaluator.
    pub workers: u32,
    threads: usize,
    master: Vec<OsString>,
    worker: Vec<OsString>,
    log: String,
}

impl Plan {
    /// The job that these options ask for.
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
        Self {
            job,
            servers,
            workers,
            threads,
            master,
            worker: worker_args(args, threads),
            log: args.process.log.to_string(),
        }
    }

    /// The master, which is started first: the others are told its address.
    pub fn master(&self) -> Process {
        self.process(Role::Master, 0, self.master.clone())
    }

    /// Everybody else, servers first.
    pub fn members(&self, master: &str) -> Vec<Process> {
        let master = [option("master", master)];
        let servers = (0..self.servers).map(|shard| {
            let own = [option("shard", shard.to_string()), option("listen", ANY_PORT)];
            self.process(Role::Server, shard, [&master, &own[..]].concat())
        });
        let worker = [&master, &self.worker[..]].concat();
        let evaluator = [&worker[..], &[option("role", "evaluator")]].concat();
        let evaluator = self.process(Role::Evaluator, 0, evaluator);
        let workers = (0..self.workers).map(|rank| {
            let own = [option("worker-index", rank.to_string())];
            self.process(Role::Worker, rank, [&worker[..], &own].concat())
        });
        servers.chain([evaluator]).chain(workers).collect()
    }

    fn process(&self, role: Role, index: u32, own: Vec<OsString>) -> Process {
        let mut args = vec![role.command().into()];
        args.extend(own);
        args.push(option("job-id", &self.job));
        args.push(option("log", &self.log));
        args.push("--exit-with-parent".into());
        let computes = matches!(role, Role::Worker | Role::Evaluator);
        Process { name: Name { role, index }, args, threads: computes.then_some(self.threads) }
    }
}

/// Any free port of this machine; the process says which on its standard output.
const ANY_PORT: &str = "127.0.0.1:0";

/// What workers and the evaluator have in common.
fn worker_args(args: &LocalArgs, threads: usize) -> Vec<OsString> {
    let options = ModelArgs { threads: Some(threads), ..args.model.clone() };
    options.to_args().into_iter().map(OsString::from).collect()
}

/// One argument, `--name=value`: a value that starts with a dash stays a value.
fn option(name: &str, value: impl AsRef<OsStr>) -> OsString {
    let mut argument = OsString::from(format!("--{name}="));
    argument.push(value);
    argument
}

/// Cores per worker: more threads than cores in all make every worker slower, not faster.
fn fair_share(workers: u32) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = usize::try_from(workers).unwrap_or(usize::MAX);
    (cores / workers).max(1)
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
const DEFAULT_JOB: &str = "default";

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
        let master = plan.master();
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
    fn each_run_has_its_own_job() {
        assert_eq!(job_id("mine"), "mine");
        assert!(job_id("default").starts_with("local-"));
    }
}
