use super::*;
use proptest::prelude::*;

const TFJOB: &str = r#""chief":["j-chief-0.ns.svc:2222"],
    "ps":["j-ps-0.ns.svc:2222","j-ps-1.ns.svc:2222"],"worker":["j-worker-0.ns.svc:2222"]"#;

const SAGEMAKER: &str = r#""master":["algo-1:2222"],
    "ps":["algo-1:2223","algo-2:2223","algo-3:2223"],"worker":["algo-2:2222","algo-3:2222"]"#;

fn read(cluster: &str, kind: &str, index: u32) -> Result<Cluster, Error> {
    let task = format!(r#"{{"type":"{kind}","index":{index}}}"#);
    let text = format!(r#"{{"cluster":{{{cluster}}},"task":{task},"environment":"cloud"}}"#);
    Cluster::read(&text, "own-name")
}

fn layout(cluster: &str, kind: &str, index: u32) -> Layout {
    read(cluster, kind, index).unwrap().layout(false).unwrap()
}

#[test]
fn a_tfjobs_pods_have_one_role_each() {
    let chief = layout(TFJOB, "chief", 0);
    assert!(chief.has_master && chief.has_evaluator);
    assert_eq!((chief.shard, chief.rank, chief.servers, chief.workers), (None, None, 2, 1));
    let server = layout(TFJOB, "ps", 1);
    assert_eq!((server.shard, server.rank, server.has_evaluator), (Some(1), None, false));
    assert_eq!(server.master_host, "j-chief-0.ns.svc");
    let worker = layout(TFJOB, "worker", 0);
    assert_eq!((worker.shard, worker.rank), (None, Some(0)));
    assert_eq!(read(TFJOB, "ps", 1).unwrap().server_port(), Some(2222));
    assert_eq!(read(TFJOB, "worker", 0).unwrap().server_port(), None);
    assert_eq!(read(TFJOB, "ps", 1).unwrap().master_port(), 2222);
}

#[test]
fn sagemakers_servers_run_on_the_hosts_of_the_others() {
    let master = layout(SAGEMAKER, "master", 0);
    assert!(master.has_master && master.has_evaluator);
    assert_eq!((master.shard, master.rank, master.workers), (Some(0), None, 2));
    let worker = layout(SAGEMAKER, "worker", 1);
    assert_eq!((worker.shard, worker.rank), (Some(2), Some(1)));
    assert_eq!(read(SAGEMAKER, "worker", 1).unwrap().server_port(), Some(2223));
}

#[test]
fn an_evaluator_in_the_cluster_is_the_only_one() {
    let cluster = format!(r#"{TFJOB},"evaluator":["e:2222"]"#);
    assert!(!layout(&cluster, "chief", 0).has_evaluator);
    let evaluator = layout(&cluster, "evaluator", 0);
    assert!(evaluator.has_evaluator && !evaluator.has_master);
}

/// Modelled on kubeflow/trainer#1633 and #972.
#[test]
fn an_evaluator_that_the_cluster_does_not_list_evaluates() {
    for index in [0, 1] {
        let evaluator = layout(TFJOB, "evaluator", index);
        assert!(evaluator.has_evaluator && !evaluator.has_master);
        assert_eq!((evaluator.shard, evaluator.rank), (None, None));
        assert_eq!((&*evaluator.host, &*evaluator.master_host), ("own-name", "j-chief-0.ns.svc"));
    }
    // Nobody else is legal that way.
    let error = read(TFJOB, "worker", 1).unwrap_err().to_string();
    assert!(error.contains("lists no worker 1"), "{error}");
}

/// Modelled on kubeflow/kubeflow#5695.
#[test]
fn an_address_may_be_one_of_ipv6() {
    let cluster = r#""chief":["[::1]:22250"],"ps":["[::1]:22251"],"worker":["[fe80::7]:1"]"#;
    let worker = layout(cluster, "worker", 0);
    assert_eq!((&*worker.host, &*worker.master_host), ("fe80::7", "::1"));
    assert_eq!(read(cluster, "worker", 0).unwrap().master_port(), 22250);
}

#[test]
fn the_sparse_form_shows_a_worker_itself() {
    let cluster = r#""chief":["c:1"],"ps":["p:1"],"worker":{"3":"w3:1"}"#;
    assert_eq!(layout(cluster, "worker", 3).rank, Some(3));
    assert_eq!(layout(cluster, "chief", 0).workers, DYNAMIC_WORKERS);
    assert!(read(cluster, "worker", 0).is_err());
}

#[test]
fn without_workers_or_when_told_the_chief_trains() {
    let alone = layout(r#""chief":["c:1"],"ps":["p:1"]"#, "chief", 0);
    assert_eq!((alone.rank, alone.workers), (Some(0), 1));
    let told = read(TFJOB, "chief", 0).unwrap().layout(true).unwrap();
    assert_eq!((told.rank, told.workers), (Some(1), 2));
}

#[test]
fn what_cannot_work_is_refused_in_words() {
    for (cluster, kind, word) in [
        (r#""chief":["c:1"],"worker":["w:1"]"#, "chief", "no `ps`"),
        (r#""ps":["p:1"],"worker":["w:1"]"#, "worker", "no `chief`"),
        (r#""chief":["c:1"],"ps":["p:1"]"#, "gardener", "gardener"),
        (r#""chief":["c:1"],"ps":["p:1"],"cook":["x:1"]"#, "chief", "cook"),
        (r#""chief":["c"],"ps":["p:1"]"#, "chief", "HOST:PORT"),
        (r#""chief":["c:1"],"ps":["::1:1"]"#, "chief", "HOST:PORT"),
        (r#""chief":["c:1"],"ps":7"#, "chief", "expected a list"),
        (TFJOB, "worker\",\"index\":9,\"x\":\"", "no worker"),
    ] {
        let error = match kind.split_once('"') {
            Some(_) => read(TFJOB, "worker", 9),
            None => read(cluster, kind, 0),
        };
        let error = error.unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("TF_CONFIG"), "{error}");
    }
    for text in ["", "{}", "[]", r#"{"cluster":{}}"#] {
        assert!(Cluster::read(text, "me").is_err(), "{text}");
    }
}

proptest! {
    /// Every task of any cluster finds its place, and together they are the whole job.
    #[test]
    fn all_tasks_together_are_the_job(servers in 1..5_u32, workers in 0..5_u32,
                                      evaluator: bool, trains: bool) {
        let list = |kind: &str, count: u32| {
            let tasks: Vec<_> = (0..count).map(|i| format!("\"{kind}{i}:1\"")).collect();
            format!("\"{kind}\":[{}]", tasks.join(","))
        };
        let evaluators = u32::from(evaluator);
        let cluster = [list("chief", 1), list("ps", servers), list("worker", workers),
                       list("evaluator", evaluators)].join(",");
        let counts = [("chief", 1), ("ps", servers), ("worker", workers),
                      ("evaluator", evaluators)];
        let all: Vec<Layout> = counts.iter().flat_map(|(kind, count)| {
            (0..*count).map(|i| read(&cluster, kind, i).unwrap().layout(trains).unwrap())
        }).collect();
        prop_assert_eq!(all.iter().filter(|l| l.has_master).count(), 1);
        prop_assert_eq!(all.iter().filter(|l| l.has_evaluator).count(), 1);
        let mut shards: Vec<_> = all.iter().filter_map(|l| l.shard).collect();
        shards.sort_unstable();
        prop_assert_eq!(shards, (0..servers).collect::<Vec<_>>());
        let mut ranks: Vec<_> = all.iter().filter_map(|l| l.rank).collect();
        ranks.sort_unstable();
        prop_assert_eq!(ranks, (0..all[0].workers).collect::<Vec<_>>());
    }
}
