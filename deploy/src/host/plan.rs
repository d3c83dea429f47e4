//! From a host's part of a job to processes with their arguments; pure.

use super::address;
use super::options::TrainArgs;
use super::setting::Site;
use crate::contract::program::Program;
use crate::name::Role;
use crate::plan::{Common, Lead, Plan, journals, local_place, loop_options, option, state};
use crate::supervision::Rules;
use clap::ArgMatches;
use ps_core::schema::SCHEMA_FILE;
use ps_server::config::DurabilityArgs;
use ps_worker::threads::fair_share;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// What the job's workers do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// They train a model of ours.
    Model,
    /// They run a program; none of them is here.
    ProgramElsewhere,
    /// They run this program.
    Program(Program),
}

/// The processes of this host, for options that the matches are too.
pub fn plan(
    site: &Site,
    args: &TrainArgs,
    matches: &ArgMatches,
    job: &str,
    program: &Work,
) -> Plan {
    let layout = &site.layout;
    let workers_here = u32::try_from(layout.ranks().len()).unwrap_or(u32::MAX);
    let threads = args.job.model.threads.unwrap_or_else(|| fair_share(workers_here));
    let log = args.job.process.log.to_string();
    let process = &args.job.process;
    let common = Common { job, log: &log, threads, stop_timeout_s: process.stop_timeout_s };
    let place = Place::new(site, args);
    let mut members = Vec::new();
    if let Some(shard) = layout.shard {
        let own = server(site, &place, &args.job.durability, shard);
        members.push(common.process(Role::Server, shard, own));
    }
    // Nobody but the program knows what its model is and how to measure it.
    if layout.has_evaluator && *program == Work::Model {
        let mut own = vec![option("role", "evaluator"), option("host-name", &layout.host)];
        own.push(option("write-schema", site.out.join(SCHEMA_FILE)));
        // Elsewhere the master does not find what is kept.
        let keep_in = site.checkpoints.as_ref().unwrap_or(&site.out);
        own.extend(layout.has_master.then(|| option("keep-in", keep_in)));
        if args.job.model.read.sharded {
            // What this host has is trained on by workers that have done theirs.
            own.push(option("serve-samples", place.any_port()));
            own.extend(place.advertise());
        }
        members.push(common.process(Role::Evaluator, 0, own));
    }
    for (index, rank) in (0..).zip(layout.ranks()) {
        let mut own =
            vec![option("worker-index", rank.to_string()), option("host-name", &layout.host)];
        own.extend(local_place(index, workers_here));
        let mut worker = common.process(Role::Worker, rank, own);
        if let Work::Program(program) = program {
            worker.runs(&program.command());
            worker.variables.clone_from(&program.variables);
        }
        members.push(worker);
    }
    let lead = if layout.has_master {
        let mut own = master(site, &place);
        own.extend(state(&args.job.durability, own_journals));
        own.extend(loop_options(&args.job.training, *program != Work::Model));
        Lead::Here(common.process(Role::Master, 0, own))
    } else {
        Lead::At(site.master())
    };
    let rules = Rules {
        has_master: layout.has_master,
        workers_elsewhere: layout.workers > workers_here,
        has_program: *program != Work::Model,
        has_journals: args.job.durability.has_journals(),
        keeps_journals: args.job.durability.keep_journal,
        after_signal: process.stop_times().all,
        ..Rules::HOST
    };
    let (host, job, summary) = (layout.host.clone(), job.to_owned(), layout.describe());
    Plan::of_host(host, job, summary, lead, members, rules).with_options(matches)
}

/// Where processes of this host listen, and what others are told.
struct Place<'a> {
    listen: IpAddr,
    host: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn new(site: &'a Site, args: &'a TrainArgs) -> Self {
        if site.layout.is_alone {
            // Nobody else is to reach them, and no name needs to resolve.
            return Self { listen: Ipv4Addr::LOCALHOST.into(), host: None };
        }
        let listen = args.host.listen_host.unwrap_or_else(address::everywhere);
        Self { listen, host: Some(&site.layout.host) }
    }

    fn at(&self, port: u16) -> String {
        // Alone, nobody needs to know the port before.
        let port = if self.host.is_none() { 0 } else { port };
        SocketAddr::new(self.listen, port).to_string()
    }

    fn any_port(&self) -> String {
        self.at(0)
    }

    fn advertise(&self) -> Option<OsString> {
        self.host.map(|host| option("advertise", address::join(host, 0)))
    }
}

fn server(
    site: &Site,
    place: &Place<'_>,
    durability: &DurabilityArgs,
    shard: u32,
) -> Vec<OsString> {
    // Others learn the port from the master: any will do, unless somebody counts on this one.
    let listen = place.at(site.server_port.unwrap_or(0));
    let mut own = vec![option("shard", shard.to_string()), option("listen", listen)];
    own.extend(place.advertise());
    own.extend(checkpoints(site));
    own.extend(journals(durability, own_journals));
    own
}

fn master(site: &Site, place: &Place<'_>) -> Vec<OsString> {
    let layout = &site.layout;
    let mut own = vec![
        option("listen", place.at(site.master_port)),
        option("servers", layout.servers.to_string()),
        option("workers", layout.workers.to_string()),
        option("out", &site.out),
    ];
    own.extend(checkpoints(site));
    own
}

/// Where this host's journals are when nobody says where: they are of use while this process lives, which starts the
/// server again.
fn own_journals() -> PathBuf {
    std::env::temp_dir().join(format!("psrun-journal-{}", std::process::id()))
}

fn checkpoints(site: &Site) -> Option<OsString> {
    site.checkpoints.as_ref().map(|folder| option("checkpoints", folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use crate::contract::resources::Resources;
    use crate::host::layout::{Layout, Wishes};
    use crate::process::Process;
    use ps_cli::process::{Parsed, Unparsed, parse_with};

    /// The master, if it is here, and the members of the host in this position of three, or of one.
    fn processes(hosts: usize, position: usize, options: &str) -> (Plan, Vec<Process>) {
        let names: Vec<String> = ["a", "b", "c"][..hosts].iter().map(|it| (*it).into()).collect();
        let words = ["psrun", "train"].into_iter().chain(options.split_whitespace());
        let Parsed { args, matches } = parse_with::<Cli>(words.map(Into::into), &[]).unwrap();
        let Command::Train(args) = args.command else {
            panic!("not train");
        };
        let resources = Resources::of(names.clone(), &names[position]);
        let site = Site {
            layout: Layout::new(&resources, &Wishes::default())
                .and_then(|it| it.with_workers_each(args.job.workers.workers_per_instance.count(0)))
                .unwrap(),
            master_port: args.host.master_port,
            server_port: args.host.server_port,
            wait_for: Vec::new(),
            out: "/m".into(),
            checkpoints: Some("/c".into()),
        };
        let plan = plan(&site, &args, &matches, "job-1", &Work::Model);
        let master =
            if let Lead::At(address) = &plan.lead { address.clone() } else { "a:1".into() };
        let members = plan.members(&master);
        (plan, members)
    }

    /// Whether it is told this, on its command line or by the file.
    fn has(plan: &Plan, process: &Process, argument: &str) -> bool {
        plan.words(process).contains(&argument.into())
    }

    #[test]
    fn the_first_host_leads_and_measures() {
        let options = "--lr=0.5 --hidden=64 --lease-ms=700 --listen-host=0.0.0.0";
        let (plan, members) = processes(3, 0, options);
        let Lead::Here(master) = &plan.lead else { panic!("{plan:?}") };
        for argument in [
            "--listen=0.0.0.0:2222",
            "--servers=3",
            "--workers=2",
            "--out=/m",
            "--checkpoints=/c",
            "--lr=0.5",
            "--lease-ms=700",
            "--model=mlp",
            "--hidden=64",
            "--job-id=job-1",
        ] {
            assert!(has(&plan, master, argument), "no {argument}: {:?}", plan.words(master));
        }
        let names: Vec<String> = members.iter().map(|it| it.name.to_string()).collect();
        assert_eq!(names, ["server 0", "evaluator"]);
        assert!(
            has(&plan, &members[0], "--listen=0.0.0.0:0")
                && has(&plan, &members[0], "--advertise=a:0")
        );
        assert!(
            has(&plan, &members[0], "--checkpoints=/c")
                && !has(&plan, &members[1], "--checkpoints=/c")
        );
        assert!(plan.rules.has_master && plan.rules.workers_elsewhere);
    }

    #[test]
    fn the_others_serve_and_train() {
        let (plan, members) = processes(3, 2, "--patience-ms=900");
        assert_eq!(plan.lead, Lead::At("a:2222".into()));
        let names: Vec<String> = members.iter().map(|it| it.name.to_string()).collect();
        assert_eq!(names, ["server 2", "worker 1"]);
        assert!(
            has(&plan, &members[1], "--master=a:2222")
                && has(&plan, &members[1], "--worker-index=1")
        );
        assert!(has(&plan, &members[1], "--patience-ms=900"));
        assert!(!plan.rules.has_master);
    }

    #[test]
    fn a_server_listens_where_somebody_counts_on_it() {
        let (plan, members) = processes(3, 1, "--server-port=2223 --listen-host=::1");
        assert!(has(&plan, &members[0], "--listen=[::1]:2223"), "{members:?}");
        assert!(has(&plan, &members[0], "--stop-timeout-s=9"));
        assert!(has(&plan, &members[1], "--host-name=b"));
        let (plan, _) = processes(3, 1, "--stop-timeout-s=110");
        assert_eq!(plan.rules.after_signal, std::time::Duration::from_secs(110));
    }

    #[test]
    fn a_host_may_have_several_workers() {
        let (plan, members) = processes(3, 2, "--workers-per-instance=2 --data=/d --sharded");
        let names: Vec<String> = members.iter().map(|it| it.name.to_string()).collect();
        assert_eq!(names, ["server 2", "worker 2", "worker 3"]);
        let cores = std::thread::available_parallelism().unwrap().get();
        for (index, worker) in members[1..].iter().enumerate() {
            assert!(has(&plan, worker, &format!("--worker-index={}", 2 + index)), "{worker:?}");
            assert!(has(&plan, worker, &format!("--local-index={index}")), "{worker:?}");
            assert!(has(&plan, worker, "--local-workers=2"), "{worker:?}");
            assert_eq!(worker.threads, Some((cores / 2).max(1)));
        }
        let (plan, members) = processes(1, 0, "--workers-per-instance=2");
        let Lead::Here(master) = &plan.lead else { panic!("{plan:?}") };
        assert!(has(&plan, master, "--workers=2"), "{master:?}");
        assert!(!plan.rules.workers_elsewhere);
        assert_eq!(members.iter().filter(|it| it.name.role == Role::Worker).count(), 2);
    }

    #[test]
    fn one_host_keeps_to_itself() {
        let (plan, members) = processes(1, 0, "");
        let Lead::Here(master) = &plan.lead else { panic!("{plan:?}") };
        assert!(has(&plan, master, "--listen=127.0.0.1:0"), "{master:?}");
        assert!(has(&plan, &members[0], "--listen=127.0.0.1:0"), "{members:?}");
        assert!(!members[0].args.iter().any(|it| it.to_string_lossy().contains("advertise")));
        assert_eq!(members.len(), 3);
        assert!(!plan.rules.workers_elsewhere);
    }

    /// Whatever we start understands what it is told, by the file as on a command line.
    #[test]
    fn roles_take_what_they_are_told() {
        fn check(role: Role, words: Vec<OsString>) -> Result<(), Unparsed> {
            match role {
                Role::Master => parse_with::<ps_master::config::Args>(words, &[]).map(drop),
                Role::Server => parse_with::<ps_server::config::Args>(words, &[]).map(drop),
                _ => parse_with::<ps_worker::config::Args>(words, &[]).and_then(|parsed| {
                    assert_eq!(parsed.args.model.data.as_deref(), Some("/d".as_ref()));
                    assert_eq!(parsed.args.calls.attempt_ms, 5);
                    parsed.args.check().map_err(Unparsed::Other)
                }),
            }
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        for (hosts, position) in [(1, 0), (3, 0), (3, 1)] {
            let options = "--lr=0.5 --hidden=64 --attempt-ms=5 --lease-ms=700 --data=/d --test=/t \
                           --augment-shift=2 --context=9 --stream --shuffle-buffer=7";
            let (mut plan, _) = processes(hosts, position, options);
            let mut told: Vec<Vec<OsString>> = Vec::new();
            let all = |plan: &Plan| {
                let lead =
                    if let Lead::Here(master) = &plan.lead { Some(master.clone()) } else { None };
                lead.into_iter().chain(plan.members("a:1")).collect::<Vec<_>>()
            };
            let typed = |it: &Process| plan.words(it).into_iter().map(OsString::from).collect();
            told.extend(all(&plan).iter().map(typed));
            plan.write_options(file.path()).unwrap();
            told.extend(all(&plan).into_iter().map(|it| it.args));
            for words in told {
                let role = match words[0].to_str() {
                    Some("ps-master") => Role::Master,
                    Some("ps-server") => Role::Server,
                    _ => Role::Worker,
                };
                let parsed = check(role, words.clone());
                assert!(parsed.is_ok(), "{words:?}: {parsed:?}");
            }
        }
    }

    /// An option that a role and `psrun` have reaches it: limits of servers, too.
    #[test]
    fn every_role_gets_the_options_that_it_has() {
        let options = "--buffer-mib=64 --connections=9 --unread-ms=700 --cut-memory=40 --barrier-timeout-s=3 \
                       --patience-ms=900 --batch-size=7 --model-option=rows=2,widths=8,4";
        let (plan, members) = processes(1, 0, options);
        let Lead::Here(master) = &plan.lead else { panic!("{plan:?}") };
        for (process, told) in [
            (master, "--barrier-timeout-s=3 --batch-size=7 --model-option=rows=2,widths=8,4"),
            (&members[0], "--buffer-mib=64 --connections=9 --unread-ms=700 --cut-memory=40"),
            (&members[1], "--patience-ms=900 --model-option=rows=2,widths=8,4"),
            (&members[2], "--patience-ms=900 --model-option=rows=2,widths=8,4"),
        ] {
            let words = plan.words(process);
            for option in options.split_whitespace() {
                let is_told = told.contains(option);
                assert_eq!(words.contains(&option.into()), is_told, "{option}: {words:?}");
            }
        }
    }
}
