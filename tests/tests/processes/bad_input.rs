//! Mistakes people make, each answered once, in words that say what to do.

use ps_tests::process::{Finished, Process, alone, job_id, psrun};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// What is wrong from the start is said at the start.
const SOON: Duration = Duration::from_secs(10);

const USAGE: i32 = 64;

fn run(args: &[&str]) -> Finished {
    let _alone = alone();
    Process::start(&job_id("bad-input"), args).wait(SOON)
}

/// `psrun local` with these options, in a folder that is thrown away.
fn local(options: &[&str]) -> Finished {
    let out = tempfile::tempdir().unwrap();
    let args = [&["local", "--out", out.path().to_str().unwrap()], options].concat();
    run(&args)
}

/// One clear message: not one per process.
#[track_caller]
fn expect_once(end: &Finished, word: &str) {
    let count = end.stderr.matches(word).count();
    assert_eq!(count, 1, "`{word}` {count} times:\n{}", end.stderr);
}

#[test]
fn bad_options_are_bad_usage() {
    local(&["--instances", "0"]).expect_code(USAGE).expect_stderr(&["--instances", "1 to"]);
    local(&["--instance", "3"]).expect_code(USAGE).expect_stderr(&["--instances"]);
    local(&["--passes", "0"]).expect_code(USAGE).expect_stderr(&["--passes"]);
    local(&["--threads", "0"]).expect_code(USAGE).expect_stderr(&["--threads"]);
    local(&["--lr", "fast"]).expect_code(USAGE).expect_stderr(&["--lr"]);
    // The workers waited for an evaluator that the master had refused.
    local(&["--sharded", "--data", "."]).expect_code(USAGE).expect_stderr(&["--sharded", "leave"]);
    run(&["lokal"]).expect_code(USAGE).expect_stderr(&["lokal"]);
}

/// Found by newcomers: a variable that a script had left empty was a bad value, and a misspelt one nothing at all.
#[test]
fn regression_variables_may_be_empty_and_misspelt_ones_are_told() {
    let _alone = alone();
    let data = digits();
    let args = ["data", data.path().to_str().unwrap()];
    let variables =
        [("PS_FORMAT", ""), ("PS_CLASSES", ""), ("PS_SHARDED", ""), ("PS_TASKS", "regression")];
    let end = Process::start_program(psrun(), "", &args, &variables).wait(SOON);
    end.expect_code(0).expect_stderr(&["PS_TASKS does nothing; is PS_TASK meant?"]);
    assert!(end.stdout.contains("outputs=10;"), "{}", end.stdout);
}

#[test]
fn regression_what_is_given_twice_is_refused_by_name() {
    local(&["--class-weights", "y=3,y=2"])
        .expect_code(USAGE)
        .expect_stderr(&["`y` is given twice"]);
    let group = "a:lr-scale=1,lr-scale=2";
    local(&["--parameter-groups", group])
        .expect_code(USAGE)
        .expect_stderr(&["`lr-scale` is set twice"]);
}

/// Found by breakers: a model that was not that of the checkpoint ended its job after two leases.
#[test]
fn regression_a_checkpoint_of_another_layout_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = folder.path().to_str().unwrap();
    let args = ["--passes", "1", "--lease-ms", "30000", "--checkpoints", checkpoints];
    local(&args).expect_code(0);
    let end = local(&[&args[..], &["--hidden", "8"]].concat());
    end.expect_code(1);
    let last = end.stderr.lines().last().unwrap();
    assert!(last.contains("the model differs from what the servers hold"), "{}", end.stderr);
}

/// What is strange about a table is said by psrun, once, and not by each process.
#[test]
fn regression_labels_of_one_class_are_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..40).map(|row| format!("{row},{},ash\n", row % 3)).collect();
    std::fs::write(folder.path().join("train.csv"), format!("a,b,kind\n{rows}")).unwrap();
    let end = local(&["--passes", "1", "--data", folder.path().to_str().unwrap()]);
    end.expect_code(0);
    expect_once(&end, "samples are of one class, `ash`");
}

#[test]
fn unknown_names_are_answered_with_the_known_ones() {
    let end = local(&["--optimizer", "adamm"]);
    end.expect_code(USAGE).expect_stderr(&["adamm", "adamw"]);
    let end = local(&["--model", "resnet9000"]);
    end.expect_code(USAGE).expect_stderr(&["resnet9000", "mlp"]);
    expect_once(&end, "resnet9000");
    let end = local(&["--device", "gpu"]);
    end.expect_code(USAGE).expect_stderr(&["gpu", "cuda:"]);
}

#[test]
fn an_output_folder_that_cannot_be_written_is_found_first() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("out");
    let end = run(&["local", "--out", below.to_str().unwrap()]);
    end.expect_code(1).expect_stderr(&[below.to_str().unwrap(), "--out"]);
}

/// The bundled digits, for spoiling.
fn digits() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/digits");
    for entry in std::fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

#[test]
fn data_that_is_not_there_is_named() {
    local(&["--data", "/nowhere"]).expect_code(1).expect_stderr(&["/nowhere", "--data"]);
    let empty = tempfile::tempdir().unwrap();
    let folder = empty.path().to_str().unwrap();
    let end = local(&["--data", folder]);
    end.expect_code(1).expect_stderr(&[folder]);
    expect_once(&end, folder);
}

#[test]
fn damaged_data_is_named_by_its_file() {
    let name = "train-images-idx3-ubyte.gz";

    let cut = digits();
    let file = cut.path().join(name);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let end = local(&["--data", cut.path().to_str().unwrap()]);
    end.expect_code(1).expect_stderr(&[name]);
    expect_once(&end, name);

    let wrong = digits();
    let file = wrong.path().join(name);
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
    plain[2] = 0x77;
    let packed = std::fs::File::create(&file).unwrap();
    let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
    packed.write_all(&plain).unwrap();
    packed.finish().unwrap();
    let end = local(&["--data", wrong.path().to_str().unwrap()]);
    end.expect_code(1).expect_stderr(&[name, "magic"]);
    expect_once(&end, name);
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let end = run(&["ps-server", "--shard", "0", "--listen", &address]);
    end.expect_code(1).expect_stderr(&[&address]);
}

/// A master that waits for two servers and one worker.
fn master(job: &str, out: &TempDir) -> (Process, String) {
    let out = out.path().to_str().unwrap();
    let args = ["--listen", "127.0.0.1:0", "--servers", "2", "--workers", "1", "--out", out];
    let master = Process::start(job, &[&["ps-master"], &args[..]].concat());
    master.wait_for_stdout("listening=", SOON);
    let line = master.stdout();
    let address = line.split("listening=").nth(1).unwrap().split(';').next().unwrap();
    (master, address.to_owned())
}

#[test]
fn a_shard_has_one_server() {
    let _alone = alone();
    let (out, job) = (tempfile::tempdir().unwrap(), job_id("same-shard"));
    let (master, address) = master(&job, &out);
    let server = ["ps-server", "--shard", "0", "--listen", "127.0.0.1:0", "--master", &address];
    let _first = Process::start(&job, &server);
    master.wait_for_stderr("shard 0 is at", SOON);
    let second = Process::start(&job, &server);
    // It goes on trying, because the first may be dead and its lease about to end.
    second.wait_for_stderr("shard 0 is taken by a live process", SOON);
}

#[test]
fn a_process_of_another_job_is_refused() {
    let _alone = alone();
    let (out, job) = (tempfile::tempdir().unwrap(), job_id("ours"));
    let (_master, address) = master(&job, &out);
    let other = job_id("theirs");
    let server = ["ps-server", "--shard", "0", "--listen", "127.0.0.1:0", "--master", &address];
    let end = Process::start(&other, &server).wait(SOON);
    end.expect_code(1).expect_stderr(&[&job, &other]);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let end = run(&["ps-worker", "--ps", &nobody, "--patience-ms", "1000"]);
    end.expect_code(1).expect_stderr(&[&nobody]);
}
