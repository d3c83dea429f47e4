//! SageMaker's contract with real processes: a job of several hosts, each a `psrun train` with
//! folders and an address of its own.

use ps_tests::process::{Finished, Hosts, Process, alone, job_id, psrun, signal};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// A whole short job on two slow cores.
const PATIENCE: Duration = Duration::from_secs(90);
/// What is refused, lost or signalled is over soon; `docker stop` kills after 10 s.
const SOON: Duration = Duration::from_secs(10);

const ON: (&str, &str) = ("sagemaker_parameter_server_enabled", "True");
/// Enough passes that nobody is done before the test has done its worst.
const LONG: (&str, &str) = ("passes", "5000");

fn wait_all(hosts: &mut [Process], patience: Duration) -> Vec<Finished> {
    hosts.iter_mut().map(|host| host.wait(patience)).collect()
}

/// A job of three hosts that is in the middle of its work.
fn under_way(test: &str, more: &[(&str, &str)]) -> (Hosts, Vec<Process>) {
    let hyperparameters = [&[ON, ("hidden", "[32]"), ("lease_ms", "2000")], more].concat();
    let hosts = Hosts::new(3, &hyperparameters);
    let started = hosts.start_all(&job_id(test));
    started[0].wait_for_stdout("pass=1;", PATIENCE);
    (hosts, started)
}

#[test]
fn one_two_and_three_hosts_are_one_job() {
    let _alone = alone();
    for count in [1, 2, 3] {
        // One host is a job of its own without the switch.
        let switch = if count == 1 { ("passes", "8") } else { ON };
        let hosts = Hosts::new(count, &[switch, ("passes", "8"), ("hidden", "[64, 32]")]);
        let ends = wait_all(&mut hosts.start_all(&job_id("hosts")), PATIENCE);
        for (host, end) in hosts.names().iter().zip(&ends) {
            end.expect_code(0);
            assert_eq!(hosts.failure(host), None);
            assert!(!end.stderr.contains('\x1b'), "{}", end.stderr);
            let is_first = *host == hosts.names()[0];
            let files = ["config.json", "model.safetensors", "report.json"];
            let expected: &[&str] = if is_first { &files } else { &[] };
            assert_eq!(hosts.model_files(host), expected, "{host}");
            assert_eq!(end.stdout.is_empty(), !is_first, "{}", end.stdout);
        }
        assert!(ends[0].metric("final_test_accuracy").unwrap() > 0.9, "{}", ends[0].stdout);
        ends[0].expect_stderr(&["ps-master", "--passes=8", "--hidden=64,32"]);
        let config =
            std::fs::read(hosts.base(&hosts.names()[0]).join("model/config.json")).unwrap();
        let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        assert_eq!(config["model"], "mlp");
        assert_eq!(config["options"]["hidden"], "64,32");
        let data = (&config["data"]["outputs"], &config["data"]["train_samples"]);
        assert_eq!(data, (&10.into(), &1437.into()), "{config}");
        assert_eq!(config["data"]["shape"], serde_json::json!([8, 8]));
        let shapes: Vec<_> = config["tensors"].as_array().unwrap().iter().collect();
        assert!(shapes.iter().any(|it| it["shape"] == serde_json::json!([64, 64])), "{shapes:?}");
    }
}

#[test]
fn a_master_that_trains_is_a_worker_more() {
    let _alone = alone();
    let hosts = Hosts::new(2, &[ON, ("passes", "2"), ("master_trains", "True")]);
    let ends = wait_all(&mut hosts.start_all(&job_id("master-trains")), PATIENCE);
    for end in &ends {
        end.expect_code(0);
    }
    ends[0].expect_stderr(&["--workers=2", "worker 0:", "worker 1:"]);
}

#[test]
fn a_stopped_job_saves_and_leaves_in_time() {
    let _alone = alone();
    let (hosts, mut started) = under_way("stopped", &[LONG]);
    let start = Instant::now();
    for host in &started {
        signal(host.pid(), Signal::TERM);
    }
    for end in wait_all(&mut started, SOON) {
        end.expect_code(143);
    }
    assert!(start.elapsed() < SOON);
    assert!(hosts.model_files(&hosts.names()[0]).contains(&"model.safetensors".to_owned()));
    for host in hosts.names() {
        assert_eq!(hosts.failure(host), None);
    }
    started[0].expect_nobody_left(Duration::ZERO);
}

#[test]
fn a_killed_worker_does_not_end_its_host() {
    let _alone = alone();
    let (hosts, mut started) = under_way("worker", &[("passes", "200")]);
    signal(started[2].find(&["ps-worker", "--worker-index=1"]), Signal::KILL);
    let ends = wait_all(&mut started, PATIENCE);
    for (host, end) in hosts.names().iter().zip(&ends) {
        end.expect_code(0);
        assert_eq!(hosts.failure(host), None);
    }
    ends[2].expect_stderr(&["worker 1", "signal 9", "the others go on"]);
}

#[test]
fn a_killed_server_fails_the_job_and_is_named_everywhere() {
    let _alone = alone();
    let (hosts, mut started) = under_way("server", &[LONG]);
    signal(started[1].find(&["ps-server", "--shard=1"]), Signal::KILL);
    // Its host tells the master, which would wait for a silent one for 30 s.
    let ends = wait_all(&mut started, SOON * 2);
    let failures: Vec<String> =
        hosts.names().iter().map(|host| hosts.failure(host).unwrap()).collect();
    for (end, (host, failure)) in ends.iter().zip(hosts.names().iter().zip(&failures)) {
        end.expect_code(1);
        assert!(failure.starts_with(&format!("{host}: ")), "{failure}");
        assert!(failure.contains(hosts.names()[1].as_str()), "{failure}");
        assert!(failure.len() <= 1024 && !failure.contains('\n'), "{failure}");
    }
    assert!(failures[1].contains("server 1") && failures[1].contains("signal 9"), "{failures:?}");
    started[0].expect_nobody_left(Duration::ZERO);
}

#[test]
fn a_killed_master_fails_the_job_everywhere() {
    let _alone = alone();
    // A server looks for a silent master for as long.
    let (hosts, mut started) = under_way("master", &[LONG, ("server_away_s", "5")]);
    signal(started[0].find(&["ps-master"]), Signal::KILL);
    for end in wait_all(&mut started, PATIENCE) {
        end.expect_code(1);
    }
    let failures: Vec<String> =
        hosts.names().iter().map(|host| hosts.failure(host).unwrap()).collect();
    assert!(failures[0].contains("master") && failures[0].contains("signal 9"), "{failures:?}");
    for failure in &failures[1..] {
        let lost = format!("master at {}:2222", hosts.names()[0]);
        assert!(failure.contains(&lost), "{failure}");
    }
}

#[test]
fn several_hosts_without_the_switch_are_refused() {
    let _alone = alone();
    for hyperparameters in [&[][..], &[(ON.0, "false")]] {
        let hosts = Hosts::new(2, hyperparameters);
        let mut started = hosts.start_all(&job_id("switch"));
        for (host, end) in hosts.names().iter().zip(wait_all(&mut started, SOON)) {
            end.expect_code(1).expect_stderr(&[ON.0, "distribution"]);
            let failure = hosts.failure(host).unwrap();
            assert!(failure.contains(ON.0) && failure.starts_with(host), "{failure}");
        }
    }
}

#[test]
fn mistakes_in_hyperparameters_are_named_all_at_once() {
    let _alone = alone();
    let wrong = [("batch_sise", "16"), ("lr", "fast"), ("model_dir", "s3://bucket"), ON];
    let hosts = Hosts::new(1, &wrong);
    let host = &hosts.names()[0];
    let end = hosts.start(&job_id("mistakes"), host, &[]).wait(SOON);
    end.expect_code(64).expect_stderr(&["batch_sise", "batch-size", "`lr`", "fast"]);
    let failure = hosts.failure(host).unwrap();
    assert!(failure.contains("batch_sise") && failure.contains("fast"), "{failure}");
    assert!(!failure.contains("model_dir"), "{failure}");
    assert!(hosts.model_files(host).is_empty());
}

#[test]
fn data_that_cannot_be_read_fail_the_job_at_once() {
    let _alone = alone();
    let hosts = Hosts::new(2, &[ON]);
    for host in hosts.names() {
        let training = hosts.base(host).join("input/data/training");
        std::fs::remove_file(&training).unwrap();
        std::fs::create_dir(&training).unwrap();
        std::fs::write(training.join("train.csv"), "a,label\n1,\n").unwrap();
    }
    let mut started = hosts.start_all(&job_id("data"));
    for (host, end) in hosts.names().iter().zip(wait_all(&mut started, SOON)) {
        end.expect_code(1);
        let failure = hosts.failure(host).unwrap();
        assert!(failure.starts_with(host.as_str()), "{failure}");
        // Whichever host it is, it says whose worker failed and why.
        assert!(failure.contains(hosts.names()[1].as_str()), "{failure}");
        assert!(failure.contains("worker 0") && failure.contains("train.csv"), "{failure}");
    }
}

#[test]
fn flags_win_and_a_dry_run_shows_what_would_run() {
    let _alone = alone();
    let hosts = Hosts::new(3, &[ON, ("lr", "0.5"), ("hidden", "\"[64, 32]\"")]);
    let host = &hosts.names()[1];
    let end = hosts.start(&job_id("dry"), host, &["--dry-run", "--lr=0.25"]).wait(SOON);
    end.expect_code(0);
    for line in
        ["hyperparameter lr=0.5\n", "server 1: ps-server", "worker 0: ps-worker", "--shard=1"]
    {
        assert!(end.stdout.contains(line), "no {line}: {}", end.stdout);
    }
    let first =
        hosts.start(&job_id("dry"), &hosts.names()[0], &["--dry-run", "--lr=0.25"]).wait(SOON);
    assert!(first.stdout.contains("--lr=0.25"), "{}", first.stdout);
    assert!(hosts.model_files(&hosts.names()[0]).is_empty());
}

#[test]
fn a_host_that_waits_for_names_can_be_stopped() {
    let _alone = alone();
    let hosts = Hosts::new(1, &[ON]);
    let host = &hosts.names()[0];
    let resources = format!(r#"{{"current_host":"{host}","hosts":["{host}","algo-9.invalid"]}}"#);
    hosts.configure(host, "resourceconfig.json", &resources);
    let mut stopped = hosts.start(&job_id("names"), host, &[]);
    stopped.wait_for_stderr("waiting for the names of algo-9.invalid", SOON);
    signal(stopped.pid(), Signal::TERM);
    stopped.wait(SOON).expect_code(143);
    assert_eq!(hosts.failure(host), None);
    let end = hosts.start(&job_id("names"), host, &["--resolve-timeout-s=1"]).wait(SOON);
    end.expect_code(1);
    let failure = hosts.failure(host).unwrap();
    assert!(failure.contains("algo-9.invalid") && failure.contains("did not resolve"), "{failure}");
}

#[test]
fn a_host_that_waits_for_its_code_can_be_stopped() {
    let _alone = alone();
    let code =
        [("sagemaker_program", "go.sh"), ("sagemaker_submit_directory", "s3://b/code.tar.gz")];
    let hosts = Hosts::new(1, &code);
    let base = hosts.base(&hosts.names()[0]);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let variables = [
        ("SAGEMAKER_BASE_DIR", base.to_str().unwrap()),
        ("AWS_ENDPOINT_URL_S3", &url),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let mut stopped = Process::start_program(psrun(), &job_id("code"), &["train"], &variables);
    let _connected = silent.accept().unwrap();
    signal(stopped.pid(), Signal::TERM);
    stopped.wait(SOON).expect_code(143);
    assert_eq!(hosts.failure(&hosts.names()[0]), None);
}

#[test]
fn a_taken_server_port_is_no_obstacle() {
    let _alone = alone();
    let hosts = Hosts::new(2, &[ON, ("passes", "2")]);
    let taken = std::net::TcpListener::bind((hosts.names()[1].as_str(), 2223)).unwrap();
    for end in wait_all(&mut hosts.start_all(&job_id("port")), PATIENCE) {
        end.expect_code(0);
    }
    drop(taken);
}

/// Started under the name `train`, or without a word, as SDK v3's local mode does.
#[test]
fn a_container_needs_no_word() {
    let _alone = alone();
    let hosts = Hosts::new(1, &[("passes", "1")]);
    let base = hosts.base(&hosts.names()[0]);
    let variables = [("SAGEMAKER_BASE_DIR", base.to_str().unwrap())];
    let train = base.join("train");
    std::os::unix::fs::symlink(psrun(), &train).unwrap();
    for (program, args) in [(psrun(), &[][..]), (&train, &[]), (&train, &["train"])] {
        let end = Process::start_program(program, "", args, &variables).wait(PATIENCE);
        end.expect_code(0);
        assert_eq!(hosts.model_files(&hosts.names()[0]).len(), 3, "{}", end.stderr);
        std::fs::remove_dir_all(base.join("model")).unwrap();
    }
}

#[test]
fn tf_config_places_one_role_in_each_process() {
    let _alone = alone();
    let hosts = Hosts::new(4, &[]);
    let names = hosts.names();
    let cluster = serde_json::json!({
        "chief": [format!("{}:4222", names[0])],
        "ps": [format!("{}:4223", names[1]), format!("{}:4223", names[2])],
        "worker": [format!("{}:4222", names[3])],
    });
    let out = tempfile::tempdir().unwrap();
    let job = job_id("tf-config");
    let tasks = [("chief", 0, 0), ("ps", 0, 1), ("ps", 1, 2), ("worker", 0, 3)];
    let mut started: Vec<Process> = tasks
        .iter()
        .map(|(kind, index, host)| {
            let task = serde_json::json!({ "type": kind, "index": index });
            let config = serde_json::json!({ "cluster": cluster, "task": task }).to_string();
            let listen = format!("--listen-host={}", names[*host]);
            let args = ["train", "--passes=3", "--out", out.path().to_str().unwrap(), &listen];
            let variables = [("TF_CONFIG", config.as_str()), ("SAGEMAKER_BASE_DIR", "/nowhere")];
            Process::start_program(psrun(), &job, &args, &variables)
        })
        .collect();
    let ends = wait_all(&mut started, PATIENCE);
    for end in &ends {
        end.expect_code(0);
    }
    assert!(ends[0].metric("final_test_accuracy").unwrap() > 0.5, "{}", ends[0].stdout);
    assert!(out.path().join("model.safetensors").is_file());
}

/// As the program that the sagemaker-training toolkit starts: variables, and no files.
#[test]
fn variables_alone_are_enough() {
    let _alone = alone();
    let hosts = Hosts::new(1, &[]);
    let out = tempfile::tempdir().unwrap();
    let folder = |name: &str| out.path().join(name).to_str().unwrap().to_owned();
    let (model, output, absent) = (folder("model"), folder("output"), folder("absent"));
    let training = hosts.base(&hosts.names()[0]).join("input/data/training");
    let variables = [
        ("SAGEMAKER_BASE_DIR", absent.as_str()),
        ("SM_HOSTS", r#"["algo-1"]"#),
        ("SM_CURRENT_HOST", "algo-1"),
        ("SM_HPS", r#"{"passes":1,"hidden":[16],"model":"mlp"}"#),
        ("SM_FRAMEWORK_PARAMS", r#"{"sagemaker_parameter_server_enabled":true}"#),
        ("SM_CHANNEL_TRAINING", training.to_str().unwrap()),
        ("SM_MODEL_DIR", &model),
        ("SM_OUTPUT_DIR", &output),
    ];
    let end = Process::start_program(psrun(), &job_id("variables"), &["train"], &variables);
    let mut end = end;
    end.wait(PATIENCE).expect_code(0).expect_stderr(&["--hidden=16", "--passes=1"]);
    assert!(out.path().join("model/model.safetensors").is_file());
}
