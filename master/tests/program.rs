//! The program itself: what it says and exits with when it cannot start, and when it is told to end.
// A test's helpers may fail like the test.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ps-master"));
    command.args(["--servers", "1", "--workers", "1"]).args(args);
    command
}

fn run(args: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command(args).output().unwrap();
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn an_output_directory_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let out = file.join("out");
    let (code, stderr) = run(&["--listen", "127.0.0.1:0", "--out", out.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("file/out") && stderr.contains("--out"), "{stderr}");
}

#[test]
fn a_taken_port_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let out = directory.path().join("out");
    let (code, stderr) = run(&["--listen", &address, "--out", out.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains(&address), "{stderr}");
}

#[test]
fn bad_usage_exits_64() {
    let (code, stderr) = run(&["--out", "x", "--optimizer", "sdg"]);
    assert_eq!(code, Some(64), "{stderr}");
    assert!(stderr.contains("sdg"), "{stderr}");
    assert_eq!(run(&["--out", "x", "--nonsense"]).0, Some(64));
}

#[test]
fn a_signal_before_the_start_ends_it_with_its_code() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let mut child = command(&["--listen", "127.0.0.1:0", "--out", out.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("role=master; listening=127.0.0.1:"), "{line}");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(out.join("report.json").exists());
}
