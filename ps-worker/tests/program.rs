//! The program itself: what it says when it cannot start.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

#[test]
fn a_worker_whose_model_cannot_be_built_does_not_say_that_it_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("train.csv"), "1,2,0\n3,4,1\n").unwrap();
    let data = folder.path().to_str().unwrap();
    // Nobody is there: with a model that can be built, the worker would look for a master or a server.
    for away in [["--master", "127.0.0.1:1"], ["--ps", "127.0.0.1:1"]] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_ps-worker"));
        program.args(away).args(["--model", "lenet", "--threads", "1", "--data", data]);
        let output = program.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("lenet") && stderr.contains("no images"), "{stderr}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    }
}
