//! Signals to processes that are busy with something else.

use ps_tests::process::{Process, alone, job_id, signal};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// A process is there, on a slow machine.
const START: Duration = Duration::from_secs(30);
/// What is told to end at once has ended.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Found by review: handlers were installed and the only thread was reading, so that no number of signals
/// ended it.
#[test]
fn regression_signals_end_who_reads_its_data_and_model() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("model.safetensors");
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
    let out = folder.path().join("out");
    let (model, out) = (fifo.to_str().unwrap(), out.to_str().unwrap());
    let programs: [&[&str]; 2] = [
        &["local", "--initial-model", model, "--out", out],
        &["ps-worker", "--ps", "127.0.0.1:9", "--initial-model", model, "--out", out],
    ];
    for program in programs {
        for (given, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let mut started = Process::start(&job_id("reading"), program);
            // Opens when it is read, which nothing ever ends.
            let _writer = std::fs::OpenOptions::new().write(true).open(&fifo).unwrap();
            let start = Instant::now();
            signal(started.pid(), given);
            started.wait(START).expect_code(code);
            assert!(start.elapsed() < AT_ONCE, "{program:?}: {:?}", start.elapsed());
        }
    }
}

/// A server serves on after a signal, until the master has saved, or the time for that is over.
#[test]
fn a_second_signal_ends_a_role_where_it_is() {
    let _alone = alone();
    let out = tempfile::tempdir().unwrap();
    let job = job_id("twice");
    let args = ["ps-master", "--listen=127.0.0.1:0", "--servers=1", "--workers=1", "--out"];
    let master = Process::start(&job, &[&args[..], &[out.path().to_str().unwrap()]].concat());
    master.wait_for_stdout("listening=", START);
    let said = master.stdout();
    let address = said.split_once("listening=").unwrap().1.split(';').next().unwrap();
    let args = ["ps-server", "--shard=0", "--listen=127.0.0.1:0", "--master", address];
    let mut server = Process::start(&job, &[&args[..], &["--stop-timeout-s=60"]].concat());
    master.wait_for_stderr("all 1 servers are there", START);
    // And it knows that it is.
    std::thread::sleep(Duration::from_secs(1));
    signal(master.pid(), Signal::STOP);
    signal(server.pid(), Signal::TERM);
    // Whoever passes a signal on may do so while it comes by another way.
    signal(server.pid(), Signal::TERM);
    std::thread::sleep(Duration::from_secs(1));
    // It is there: signals that come together are one wish.
    server.find(&["ps-server"]);
    signal(server.pid(), Signal::TERM);
    let start = Instant::now();
    server.wait(START).expect_code(143).expect_stderr(&["a second signal"]);
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
}
