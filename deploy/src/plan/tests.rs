use super::*;
use crate::cli::{Cli, Command};
use ps_cli::process::{Parsed, parse_with};

fn plan(options: &str) -> Plan {
    let words = ["psrun", "local"].into_iter().chain(options.split_whitespace());
    let Parsed { args, matches } = parse_with::<Cli>(words.map(Into::into), &[]).unwrap();
    let Command::Local(args) = args.command else {
        panic!("not local");
    };
    let output = Output::at("out/run-1");
    Plan::new(&args, &matches, "job-1".into(), &output)
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
fn instances_may_have_several_workers() {
    for (options, servers, workers) in [
        ("--instances 1 --workers-per-instance 3", 1, 3),
        ("--instances 2 --workers-per-instance 2", 2, 2),
        ("--instances 3 --workers-per-instance 4", 3, 8),
        ("--instances 3 --workers-per-instance auto --device cpu", 3, 2),
    ] {
        let plan = plan(options);
        let members = plan.members("127.0.0.1:5");
        assert_eq!(count(&members, Role::Server), servers, "{options}");
        assert_eq!(count(&members, Role::Worker), workers, "{options}");
        let Lead::Here(master) = &plan.lead else { panic!("{plan:?}") };
        assert!(master.args.contains(&option("workers", workers.to_string())), "{master:?}");
        // Each has its share of the cores, and of the GPUs the one of its number.
        let cores = std::thread::available_parallelism().unwrap().get();
        let of_role = members.iter().filter(|it| it.name.role == Role::Worker);
        for (rank, worker) in of_role.enumerate() {
            assert_eq!(worker.threads, Some((cores / workers).max(1)));
            assert!(worker.args.contains(&option("worker-index", rank.to_string())));
            assert!(worker.args.contains(&option("local-index", rank.to_string())));
        }
    }
}

#[test]
fn training_options_go_to_the_master_alone() {
    let plan = plan("--lr 0.5 --passes 3");
    let Lead::Here(master) = &plan.lead else { panic!("{plan:?}") };
    let words = plan.words(master);
    assert!(words.contains(&"--lr=0.5".into()), "{words:?}");
    assert!(master.args.contains(&"--out=out/run-1".into()), "{master:?}");
    assert_eq!(master.threads, None);
    for member in plan.members("127.0.0.1:5") {
        assert!(!plan.words(&member).contains(&"--lr=0.5".into()), "{member:?}");
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
