//! Hosts that cannot do their part, or are lost: everybody ends soon, with the reason.

use ps_tests::process::{Finished, Hosts, Process, alone, job_id, psrun, signal};
use rustix::process::Signal;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A whole short job on two slow cores.
const PATIENCE: Duration = Duration::from_secs(90);
/// What is known at once ends everybody within this, the processes' start on a slow machine included.
const SOON: Duration = Duration::from_secs(10);

const ON: (&str, &str) = ("sagemaker_parameter_server_enabled", "True");

fn wait_all(hosts: &mut [Process], patience: Duration) -> Vec<Finished> {
    hosts.iter_mut().map(|host| host.wait(patience)).collect()
}

/// Every host failed, and each says these words in its failure file.
#[track_caller]
fn expect_failed(hosts: &Hosts, ends: &[Finished], words: &[&str]) {
    for (host, end) in hosts.names().iter().zip(ends) {
        end.expect_code(1);
        let failure = hosts.failure(host).unwrap();
        for word in words {
            assert!(failure.contains(word), "no `{word}` in the failure of {host}: {failure}");
        }
    }
}

/// Found by review: psrun was killed on one host, and the whole job said that somebody had stopped it.
#[test]
fn regression_a_killed_host_is_a_failure_and_no_wish() {
    let _alone = alone();
    let hosts = Hosts::new(3, &[ON, ("hidden", "[32]"), ("passes", "5000")]);
    let mut started = hosts.start_all(&job_id("host-killed"));
    started[0].wait_for_stdout("pass=1;", PATIENCE);
    let start = Instant::now();
    signal(started[1].pid(), Signal::KILL);
    let ends: Vec<Finished> = [0, 2].map(|host| started[host].wait(SOON * 2)).into();
    assert!(start.elapsed() < SOON * 2);
    let lost = format!("server shard 1 at {}", hosts.names()[1]);
    for (end, host) in ends.iter().zip([0, 2]) {
        end.expect_code(1);
        let failure = hosts.failure(&hosts.names()[host]).unwrap();
        assert!(failure.contains(&lost) && failure.contains("is gone"), "{failure}");
    }
    // What there was is saved: the server lived long enough.
    assert!(hosts.model_files(&hosts.names()[0]).contains(&"model.safetensors".to_owned()));
    started[0].expect_nobody_left(SOON);
}

/// Found by review: the others waited for its server for five minutes.
#[test]
fn regression_a_server_that_cannot_bind_ends_all_hosts_with_its_reason() {
    let _alone = alone();
    for position in [0, 2] {
        let hosts = Hosts::new(3, &[ON, ("server_port", "2223")]);
        let host = hosts.names()[position].clone();
        let taken = TcpListener::bind((host.as_str(), 2223)).unwrap();
        let start = Instant::now();
        let ends = wait_all(&mut hosts.start_all(&job_id("bind")), SOON);
        assert!(start.elapsed() < SOON);
        expect_failed(&hosts, &ends, &[&host, &format!("server {position}"), "2223", "in use"]);
        drop(taken);
    }
}

/// Found by review: workers died one by one and the master waited for others.
#[test]
fn regression_a_model_that_cannot_be_built_ends_all_hosts_with_its_reason() {
    let _alone = alone();
    // Known to each worker by itself, and only once the job knows what its data are.
    for more in [("passes", "1"), ("stream", "true")] {
        let hosts = Hosts::new(3, &[ON, ("model", "lenet"), more]);
        for host in hosts.names() {
            let training = hosts.base(host).join("input/data/training");
            std::fs::remove_file(&training).unwrap();
            std::fs::create_dir(&training).unwrap();
            let rows: String =
                (0..40).map(|row| format!("{row},{},{}\n", row % 7, row % 2)).collect();
            std::fs::write(training.join("train.csv"), &rows).unwrap();
            std::fs::write(training.join("test.csv"), &rows).unwrap();
        }
        let ends = wait_all(&mut hosts.start_all(&job_id("unbuilt")), SOON * 2);
        expect_failed(&hosts, &ends, &["lenet"]);
    }
}

const PIPE: &str = r#"{"training":{"TrainingInputMode":"Pipe","ContentType":"text/csv"}}"#;

/// The FIFO of the first pass, in the place of the data; nobody writes to it.
fn make_fifo(hosts: &Hosts, host: &str) -> PathBuf {
    let data = hosts.base(host).join("input/data");
    std::fs::remove_file(data.join("training")).unwrap();
    let fifo = data.join("training_0");
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
    fifo
}

/// Found by review: whoever waited for its data was taken for missing, or for stuck.
#[test]
fn regression_data_that_come_late_are_waited_for() {
    let _alone = alone();
    let hosts = Hosts::new(
        2,
        &[ON, ("passes", "1"), ("classes", "2"), ("start_timeout_s", "3"), ("step_timeout_s", "2")],
    );
    let mut fifos = Vec::new();
    for host in hosts.names() {
        hosts.configure(host, "inputdataconfig.json", PIPE);
        fifos.push(make_fifo(&hosts, host));
    }
    let mut started = hosts.start_all(&job_id("late"));
    // Longer than a start may take, and then in the middle of a stream longer than a step.
    let fifo = fifos.pop().unwrap();
    let writing = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(7));
        let mut pipe = std::fs::OpenOptions::new().write(true).open(fifo).unwrap();
        let rows: String = (0..400).map(|row| format!("{},{}\n", row % 7, row % 2)).collect();
        pipe.write_all(rows.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_secs(6));
        pipe.write_all(rows.as_bytes()).unwrap();
    });
    let ends = wait_all(&mut started, PATIENCE);
    writing.join().unwrap();
    for end in &ends {
        end.expect_code(0);
        assert!(!end.stderr.contains("finished no step"), "{}", end.stderr);
    }
    ends[0].expect_stderr(&["the start waits for data that are being loaded"]);
}

#[test]
fn data_that_never_come_have_a_deadline_of_their_own() {
    let _alone = alone();
    let hosts = Hosts::new(1, &[("load_timeout_s", "2"), ("classes", "2")]);
    let host = &hosts.names()[0];
    hosts.configure(host, "inputdataconfig.json", PIPE);
    make_fifo(&hosts, host);
    let end = hosts.start(&job_id("never"), host, &[]).wait(SOON * 2);
    end.expect_code(1);
    let failure = hosts.failure(host).unwrap();
    assert!(failure.contains("--load-timeout-s") && failure.contains("within 2 s"), "{failure}");
}

/// Found by review: the failure of the start before was taken for this one's.
#[test]
fn regression_a_restart_on_a_kept_volume_writes_its_own_failure() {
    let _alone = alone();
    let hosts = Hosts::new(1, &[("model", "no-such-model")]);
    let host = &hosts.names()[0];
    hosts.start(&job_id("kept"), host, &[]).wait(SOON).expect_code(64);
    assert!(hosts.failure(host).unwrap().contains("no-such-model"));
    let other = r#"{"model":"mlp","lr":"fast"}"#;
    hosts.configure(host, "hyperparameters.json", other);
    hosts.start(&job_id("kept"), host, &[]).wait(SOON).expect_code(64);
    let failure = hosts.failure(host).unwrap();
    assert!(failure.contains("fast") && !failure.contains("no-such-model"), "{failure}");
    hosts.configure(host, "hyperparameters.json", r#"{"passes":"1"}"#);
    hosts.start(&job_id("kept"), host, &[]).wait(PATIENCE).expect_code(0);
    assert_eq!(hosts.failure(host), None);
}

/// Starts the tasks of a cluster, each with what `TF_CONFIG` says to it.
fn start_tasks(
    cluster: &serde_json::Value,
    tasks: &[(&str, u32)],
    out: &str,
    job: &str,
) -> Vec<Process> {
    let start = |(kind, index): &(&str, u32)| {
        let task = serde_json::json!({ "type": kind, "index": index });
        let config = serde_json::json!({ "cluster": cluster, "task": task }).to_string();
        let args = ["train", "--passes=3", "--out", out];
        let variables = [("TF_CONFIG", config.as_str()), ("SAGEMAKER_BASE_DIR", "/nowhere")];
        Process::start_program(psrun(), job, &args, &variables)
    };
    tasks.iter().map(start).collect()
}

/// Modelled on kubeflow/trainer#1633 and #972: Kubeflow keeps evaluators out of `cluster`, so that the
/// chief has one, too.
#[test]
fn evaluators_that_the_cluster_does_not_list_evaluate_or_stand_by() {
    let _alone = alone();
    let hosts = Hosts::new(3, &[]);
    let names = hosts.names();
    let address = |host: usize, port: u16| [format!("{}:{port}", names[host])];
    let cluster = serde_json::json!({
        "chief": address(0, 4222), "ps": address(1, 4223), "worker": address(2, 4222),
    });
    let out = tempfile::tempdir().unwrap();
    let tasks = [("chief", 0), ("ps", 0), ("worker", 0), ("evaluator", 0), ("evaluator", 1)];
    let mut started =
        start_tasks(&cluster, &tasks, out.path().to_str().unwrap(), &job_id("evaluators"));
    let ends = wait_all(&mut started, PATIENCE);
    for end in &ends {
        end.expect_code(0);
    }
    assert!(ends[0].metric("final_test_accuracy").unwrap() > 0.5, "{}", ends[0].stdout);
}

/// Modelled on kubeflow/kubeflow#5695.
#[test]
fn a_cluster_may_have_addresses_of_ipv6() {
    let _alone = alone();
    let Ok(free) = TcpListener::bind("[::1]:0") else {
        return println!("skipped: this machine has no IPv6");
    };
    let other = TcpListener::bind("[::1]:0").unwrap();
    let [chief, server] = [&free, &other].map(|it| it.local_addr().unwrap().to_string());
    drop((free, other));
    let cluster = serde_json::json!({
        "chief": [chief],
        "ps": [server],
        "worker": ["[::1]:1"],
    });
    let out = tempfile::tempdir().unwrap();
    let tasks = [("chief", 0), ("ps", 0), ("worker", 0)];
    let mut started = start_tasks(&cluster, &tasks, out.path().to_str().unwrap(), &job_id("ipv6"));
    for end in &wait_all(&mut started, PATIENCE) {
        end.expect_code(0);
    }
    assert!(out.path().join("model.safetensors").is_file());
}
