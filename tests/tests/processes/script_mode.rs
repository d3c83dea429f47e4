//! Scripts of SageMaker's script mode: what they are told, and what is installed for them.

use ps_tests::process::{Hosts, Process, alone, job_id, psrun, signal};
use rustix::process::Signal;
use std::path::Path;
use std::time::Duration;

/// A whole short job on two slow cores.
const PATIENCE: Duration = Duration::from_secs(90);
/// What is refused or signalled is over soon; `docker stop` kills after 10 s.
const SOON: Duration = Duration::from_secs(10);

/// A job of one host, whose code is this file, with what it requires.
fn host(file: (&str, &str), requirements: Option<&str>) -> Hosts {
    let hyperparameters = [("sagemaker_program", file.0), ("epochs", "3"), ("batch-size", "16")];
    let hosts = Hosts::new(1, &hyperparameters);
    let code = hosts.base(&hosts.names()[0]).join("code");
    std::fs::create_dir_all(&code).unwrap();
    std::fs::write(code.join(file.0), file.1).unwrap();
    if let Some(requirements) = requirements {
        std::fs::write(code.join("requirements.txt"), requirements).unwrap();
    }
    hosts
}

fn base(hosts: &Hosts) -> std::path::PathBuf {
    hosts.base(&hosts.names()[0])
}

#[test]
fn a_script_is_told_what_sagemakers_toolkit_tells_it() {
    let _alone = alone();
    let script = "#!/bin/sh\n\
        mkdir -p \"$SM_OUTPUT_DATA_DIR\"\n\
        echo \"$SM_CHANNEL_TRAINING;$SM_MODEL_DIR;$SM_HOSTS;$SM_CURRENT_HOST;$SM_HP_EPOCHS;$SM_HP_BATCH_SIZE;$*\" \
        > \"$SM_OUTPUT_DATA_DIR/told\"\n";
    let hosts = host(("train.sh", script), None);
    let end = hosts.start_all(&job_id("script-mode"))[0].wait(PATIENCE);
    end.expect_code(0);
    let (base, name) = (base(&hosts), &hosts.names()[0]);
    let told = std::fs::read_to_string(base.join("output/data/told")).unwrap();
    let path = |folder: &str| base.join(folder).display().to_string();
    let expected = [
        path("input/data/training"),
        path("model"),
        format!("[\"{name}\"]"),
        name.clone(),
        "3".to_owned(),
        "16".to_owned(),
        "--batch-size 16 --epochs 3".to_owned(),
    ];
    assert_eq!(told.trim(), expected.join(";"));
}

#[test]
fn what_a_script_requires_and_cannot_be_had_is_why_its_host_fails() {
    let _alone = alone();
    let hosts = host(("train.py", ""), Some("./absent-1.0-py3-none-any.whl\n"));
    let end = hosts.start_all(&job_id("requirements"))[0].wait(PATIENCE);
    end.expect_code(1);
    let failure = hosts.failure(&hosts.names()[0]).unwrap();
    // pip's own words, where there is a pip.
    let says_why = failure.contains("absent-1.0") || failure.contains("pip");
    assert!(failure.contains("requirements.txt names") && says_why, "{failure}");
}

#[test]
fn a_host_that_installs_what_its_script_requires_can_be_stopped() {
    let _alone = alone();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("--index-url http://{}/\nno-such-package\n", silent.local_addr().unwrap());
    let hosts = host(("train.py", ""), Some(&url));
    let (base, variables) = (base(&hosts), "SAGEMAKER_BASE_DIR");
    let variables = [(variables, base.to_str().unwrap())];
    let job = job_id("installing");
    let mut stopped = Process::start_program(psrun(), &job, &["train"], &variables);
    let _connected = silent.accept().unwrap();
    let is_pip = |process: &Path| {
        let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("pip") && line.contains(base.to_str().unwrap())
    };
    let installs = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        processes.filter(|process| is_pip(&process.path())).count()
    };
    // Python may be started by a script.
    assert!(installs() >= 1);
    signal(stopped.pid(), Signal::TERM);
    stopped.wait(SOON).expect_code(143);
    assert_eq!((installs(), hosts.failure(&hosts.names()[0])), (0, None));
}
