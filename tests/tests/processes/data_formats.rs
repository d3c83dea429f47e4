//! Whole jobs on data in the formats of SageMaker's channels.

use ps_data::{Samples, bundled_digits};
use ps_runtime::files::Directory;
use ps_tests::process::{Process, alone, job_id};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Longer than any of these jobs takes on two slow cores.
const PATIENCE: Duration = Duration::from_secs(90);

/// A protobuf field of bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(content);
    bytes
}

/// A map entry with a tensor of `f32`.
fn tensor(values: &[f32]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    [field(1, b"values"), field(2, &field(2, &field(1, &values)))].concat()
}

/// These samples as RecordIO-protobuf.
fn records(samples: &Samples, numbers: impl Iterator<Item = u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in numbers {
        let (inputs, labels) = samples.gather(&[number]).unwrap();
        let record =
            [field(1, &tensor(&inputs.features)), field(2, &tensor(&[labels.classes()[0] as f32]))]
                .concat();
        bytes.extend(0xCED7_230A_u32.to_le_bytes());
        bytes.extend((record.len() as u32).to_le_bytes());
        bytes.extend(record);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// These samples as CSV with the label in the first column, as SageMaker's algorithms want it.
fn csv(samples: &Samples) -> String {
    let lines = (0..samples.len() as u64).map(|number| {
        let (inputs, labels) = samples.gather(&[number]).unwrap();
        let values: Vec<String> = inputs.features.iter().map(f32::to_string).collect();
        format!("{},{}\n", labels.classes()[0], values.join(","))
    });
    lines.collect()
}

fn learns(job: &str, args: &[&str]) {
    let out = tempfile::tempdir().unwrap();
    let common = ["local", "--instances", "2", "--out", out.path().to_str().unwrap()];
    let mut psrun = Process::start(&job_id(job), &[&common, args].concat());
    let end = psrun.wait(PATIENCE);
    end.expect_code(0);
    let accuracy = end.metric("final_test_accuracy").unwrap();
    assert!(accuracy >= 0.95, "final_test_accuracy {accuracy}\n{}", end.stdout);
}

fn folder(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn recordio_protobuf_in_two_folders_is_learnt() {
    let _alone = alone();
    let digits = bundled_digits().unwrap();
    let (train, test) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for part in 0..3 {
        let numbers = (0..digits.train.len() as u64).filter(|number| number % 3 == part);
        let path = train.path().join(format!("part-{part}"));
        std::fs::write(path, records(&digits.train, numbers)).unwrap();
    }
    let all = 0..digits.test.len() as u64;
    std::fs::write(test.path().join("part-0"), records(&digits.test, all)).unwrap();
    learns("records", &["--data", folder(train.path()), "--test", folder(test.path())]);
}

#[test]
fn csv_with_the_label_first_is_learnt() {
    let _alone = alone();
    let digits = bundled_digits().unwrap();
    let (train, test) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(train.path().join("one.csv"), csv(&digits.train)).unwrap();
    std::fs::write(test.path().join("two.csv"), csv(&digits.test)).unwrap();
    let folders = ["--data", folder(train.path()), "--test", folder(test.path())];
    learns("label-first", &[&folders[..], &["--label", "1"]].concat());
}

#[test]
fn files_that_are_not_loaded_are_learnt() {
    let _alone = alone();
    let digits = bundled_digits().unwrap();
    let (train, test) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let lines = csv(&digits.train);
    let (one, two) = lines.split_at(lines[..lines.len() / 2].rfind('\n').unwrap() + 1);
    std::fs::write(train.path().join("one.csv"), one).unwrap();
    std::fs::write(train.path().join("two.csv"), two).unwrap();
    std::fs::write(test.path().join("test.csv"), csv(&digits.test)).unwrap();
    let folders = ["--data", folder(train.path()), "--test", folder(test.path())];
    let stream = ["--label", "1", "--stream", "--shuffle-buffer", "1000"];
    learns("stream-files", &[&folders[..], &stream].concat());
}

#[test]
fn a_job_without_test_data_says_so_and_succeeds() {
    let _alone = alone();
    let (data, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let digits = bundled_digits().unwrap();
    std::fs::write(data.path().join("any.csv"), csv(&digits.train)).unwrap();
    let args = ["local", "--instances", "2", "--passes", "2", "--label", "1"];
    let folders = ["--data", folder(data.path()), "--out", folder(out.path())];
    let mut psrun = Process::start(&job_id("no-test"), &[&args[..], &folders].concat());
    let end = psrun.wait(PATIENCE);
    end.expect_code(0).expect_stderr(&["no test data", "--test"]);
    assert!(!end.stdout.contains("test_accuracy"), "{}", end.stdout);
    assert!(!end.stdout.contains("test_loss"), "{}", end.stdout);
    assert!(out.path().join("model.safetensors").is_file());
}

/// `psrun local` read all data itself, and each worker and the evaluator read it once more.
#[test]
fn regression_the_processes_of_a_machine_share_the_data_that_was_read_once() {
    let _alone = alone();
    let (data, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = data.path().join("any.csv");
    std::fs::write(&path, csv(&bundled_digits().unwrap().train)).unwrap();
    // It has read the data, and starts nobody yet.
    std::fs::create_dir(out.path().join("logs")).unwrap();
    let other_job = Directory::open(&out.path().join("logs")).unwrap().lock().unwrap().unwrap();
    let args = ["local", "--instances", "3", "--passes", "2", "--label", "1"];
    let folders = ["--data", folder(&path), "--test", folder(&path), "--out", folder(out.path())];
    let mut psrun = Process::start(&job_id("shared"), &[&args[..], &folders].concat());
    psrun.wait_for_stderr("another job writes there", PATIENCE);
    std::fs::remove_file(&path).unwrap();
    drop(other_job);
    let end = psrun.wait(PATIENCE);
    end.expect_code(0);
    assert!(end.metric("final_test_accuracy").unwrap() > 0.5, "{}", end.stdout);
}

/// Makes the FIFOs of a channel one after another, as SageMaker does, and writes each full.
fn channel(stem: PathBuf, streams: usize, content: String) {
    std::thread::spawn(move || {
        for number in 0..streams {
            let fifo = PathBuf::from(format!("{}_{number}", stem.display()));
            assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
            // When nobody reads any more, the job has ended or failed: the test says which.
            if std::fs::write(&fifo, &content).is_err() {
                return;
            }
        }
    });
}

/// Two workers that each read their own FIFOs; `share` is what a host's channel holds.
fn streams_are_learnt(job: &str, own: &[&str], share: impl Fn(&[&str], usize) -> String) {
    const PASSES: usize = 5;
    let _alone = alone();
    let (fifos, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (job, digits) = (job_id(job), bundled_digits().unwrap());
    let (train, test) = (csv(&digits.train), csv(&digits.test));
    let lines: Vec<&str> = train.split_inclusive('\n').collect();
    let stem = |name: &str| fifos.path().join(name);
    for host in 0..2 {
        channel(stem(&format!("training-{host}")), PASSES, share(&lines, host));
    }
    channel(stem("test"), 1, test);

    let passes = PASSES.to_string();
    let args = ["ps-master", "--listen", "127.0.0.1:0", "--servers", "1", "--workers", "2"];
    let more = ["--passes", &passes, "--out", folder(out.path())];
    let mut master = Process::start(&job, &[&args[..], &more].concat());
    master.wait_for_stdout("listening=", PATIENCE);
    let address = master.stdout();
    let address = address.split("listening=").nth(1).unwrap().split(';').next().unwrap();
    let server = ["ps-server", "--shard", "0", "--listen", "127.0.0.1:0", "--master", address];
    let worker = ["ps-worker", "--master", address, "--pipe", "--label", "1", "--data"];
    let mut members = vec![Process::start(&job, &server)];
    for host in ["training-0", "training-1"] {
        let stem = stem(host);
        let more = [folder(&stem), "--classes", "10"];
        members.push(Process::start(&job, &[&worker[..], &more, own].concat()));
    }
    let (train, test) = (stem("training-0"), stem("test"));
    let more = [folder(&train), "--role", "evaluator", "--test-pipe", "--test", folder(&test)];
    members.push(Process::start(&job, &[&worker[..], &more, own].concat()));

    let end = master.wait(PATIENCE);
    end.expect_code(0);
    for member in &mut members {
        member.wait(PATIENCE).expect_code(0);
    }
    let accuracy = end.metric("final_test_accuracy").unwrap();
    assert!(accuracy >= 0.93, "final_test_accuracy {accuracy}\n{}", end.stdout);
    // Every record was trained on once a pass, by one of the two.
    let report = std::fs::read_to_string(out.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["train_samples"], digits.train.len(), "{report}");
}

#[test]
fn a_stream_that_every_host_has_is_shared_record_by_record() {
    streams_are_learnt("streams", &[], |lines, _| lines.concat());
}

#[test]
fn streams_of_their_own_are_read_whole() {
    let share =
        |lines: &[&str], host| lines.iter().skip(host).step_by(2).copied().collect::<String>();
    streams_are_learnt("own-streams", &["--sharded"], share);
}
