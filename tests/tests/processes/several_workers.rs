//! Several workers on an instance: jobs of real processes.

use ps_tests::process::{Finished, Hosts, Process, alone, job_id, signal};
use rustix::process::Signal;
use std::path::Path;
use std::time::Duration;

/// A whole short job on two slow cores, the lease of a lost worker included.
const PATIENCE: Duration = Duration::from_secs(90);

const ON: (&str, &str) = ("sagemaker_parameter_server_enabled", "True");
const TWO: (&str, &str) = ("workers_per_instance", "2");

/// Training samples of the digits.
const DIGITS: u64 = 1437;

fn report(folder: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(folder.join("report.json")).unwrap()).unwrap()
}

/// The second worker of a host dies: the first one and the host go on, and its samples are done by others.
#[test]
fn a_hosts_second_worker_may_die() {
    let _alone = alone();
    let job = job_id("second-worker");
    let hosts = Hosts::new(2, &[ON, TWO, ("passes", "40"), ("lease_ms", "2000")]);
    let mut started = hosts.start_all(&job);
    started[0].wait_for_stdout("pass=1;", PATIENCE);
    signal(started[1].find(&["ps-worker", "--worker-index=1"]), Signal::KILL);
    let ends: Vec<Finished> = started.iter_mut().map(|host| host.wait(PATIENCE)).collect();
    for end in &ends {
        end.expect_code(0);
    }
    ends[1].expect_stderr(&["worker 1 (host ", "was killed by signal 9; the others go on"]);
    assert!(ends[0].metric("final_test_accuracy").unwrap() > 0.9, "{}", ends[0].stdout);
    let report = report(&hosts.base(&hosts.names()[0]).join("model"));
    assert_eq!(report["workers"].as_object().unwrap().len(), 2, "{report}");
    assert_eq!(report["lost"][0]["member"], "worker 1", "{report}");
    assert_eq!(report["passes"].as_array().unwrap().len(), 40);
    assert_eq!((hosts.failure(&hosts.names()[0]), hosts.failure(&hosts.names()[1])), (None, None));
    started[0].expect_nobody_left(PATIENCE);
}

/// Each sample of a host's own share is one of its workers': else it would be trained on as often as it has
/// workers.
#[test]
fn workers_of_a_host_share_out_what_only_it_has() {
    let _alone = alone();
    let hosts = Hosts::new(2, &[ON, TWO, ("passes", "2")]);
    for host in hosts.names() {
        let channels = r#"{"training":{"S3DistributionType":"ShardedByS3Key"}}"#;
        hosts.configure(host, "inputdataconfig.json", channels);
    }
    let mut started = hosts.start_all(&job_id("shares"));
    for host in &mut started {
        host.wait(PATIENCE).expect_code(0);
    }
    let report = report(&hosts.base(&hosts.names()[0]).join("model"));
    // The share of the second host, and that of the first, which its evaluator serves.
    assert_eq!(report["train_samples"], 2 * DIGITS, "{report}");
    let samples = |rank: &str| report["workers"][rank]["counters"]["samples"].as_u64().unwrap();
    assert!(samples("0") + samples("1") >= 2 * 2 * DIGITS, "{report}");
    assert!(samples("0") >= DIGITS && samples("1") >= DIGITS, "{report}");
}

/// A job goes on with another number of workers on the same instances.
#[test]
fn a_job_goes_on_with_other_workers() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (out, checkpoints) = (path("out"), path("checkpoints"));
    for (each, passes, workers) in [("1", "2", 1), ("3", "4", 3)] {
        let args =
            ["local", "--instances", "2", "--workers-per-instance", each, "--passes", passes];
        let places = ["--out", &out, "--checkpoints", &checkpoints];
        let mut job = Process::start(&job_id("other-workers"), &[&args[..], &places].concat());
        job.wait(PATIENCE).expect_code(0);
        let report = report(Path::new(&out));
        assert_eq!(report["workers"].as_object().unwrap().len(), workers, "{report}");
        assert_eq!(report["passes"].as_array().unwrap().len().to_string(), passes);
        assert_eq!(report["servers"].as_object().unwrap().len(), 2);
    }
    assert_eq!(report(Path::new(&out))["resumed"]["passes"], 2);
}
