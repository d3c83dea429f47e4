//! A process that is started over with the environment its threads need.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use ps_worker::threads::{configure_threads, environment};

/// Tells this test that it is the process that starts over.
const CHILD: &str = "PS_TEST_THREADS_CHILD";

#[test]
fn a_process_starts_over_once_with_its_threads() {
    if std::env::var_os(CHILD).is_some() {
        println!("process={}", std::process::id());
        configure_threads(3).unwrap();
        println!("threads={}", candle_core::utils::get_num_threads());
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "a_process_starts_over_once_with_its_threads", "--nocapture"]);
    child.env(CHILD, "1").env_remove("RAYON_NUM_THREADS").env_remove("CANDLE_NUM_THREADS");
    let output = child.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("threads=3"), "{text}");
    let processes: Vec<&str> = text.lines().filter(|line| line.contains("process=")).collect();
    assert_eq!(processes.len(), 2, "starts once and starts over once: {text}");
    assert_eq!(processes[0], processes[1], "the process id stays");
}

#[test]
fn the_spinning_pool_never_gets_a_second_thread() {
    assert_eq!(environment(0)[0], ("RAYON_NUM_THREADS", "1".to_owned()));
    assert_eq!(environment(4)[0], ("RAYON_NUM_THREADS", "4".to_owned()));
    assert_eq!(environment(4)[1], ("CANDLE_NUM_THREADS", "1".to_owned()));
}

#[test]
fn a_fair_share_is_never_nothing() {
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(ps_worker::threads::fair_share(1), cores);
    assert_eq!(ps_worker::threads::fair_share(0), cores);
    assert_eq!(ps_worker::threads::fair_share(u32::MAX), 1);
}
