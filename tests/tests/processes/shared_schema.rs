//! Real processes that learn the columns of a table together, of which each has a part alone.

use ps_tests::draws::draws;
use ps_tests::process::{Finished, Process, alone, job_id, psrun};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than any of these jobs takes on two slow cores.
const PATIENCE: Duration = Duration::from_secs(120);

const HEADER: &str = "width,colour,height,noise,kind\n";

/// Lines of a table: three numbers, two of them telling and one missing now and then, a text, and which of three kinds it is.
fn lines(rows: u64, seed: u64) -> Vec<String> {
    let mut draw = draws(seed);
    let mut line = |row: u64| {
        let kind = (draw() * 3.0) as usize;
        let width = [5.0, 7.0, 9.0][kind] + draw();
        let height = if row % 10 == 3 { "NA".to_owned() } else { format!("{}", 20.0 - width) };
        let colour = if draw() < 0.8 { ["red", "green, dark", "blue"][kind] } else { "red" };
        format!("{width},\"{colour}\",{height},{},{}\n", draw(), ["ash", "birch", "oak"][kind])
    };
    (0..rows).map(&mut line).collect()
}

fn table<'a>(lines: impl Iterator<Item = &'a String>) -> String {
    let mut text = HEADER.to_owned();
    lines.for_each(|line| write!(text, "{line}").unwrap());
    text
}

/// A table as a whole, and in shares: the first lacks a category and a class, the evaluator has the rest.
struct Data {
    folder: TempDir,
}

impl Data {
    fn new() -> Self {
        let data = Self { folder: tempfile::tempdir().unwrap() };
        let (train, test) = (lines(600, 1), table(lines(200, 2).iter()));
        let is_known = |line: &&String| !line.contains("blue") && !line.contains("oak");
        let few = || train[..150].iter().filter(is_known);
        let rest = || train[..150].iter().filter(|line| !is_known(line)).chain(&train[500..]);
        let all = few().chain(&train[150..500]).chain(rest());
        for (name, text) in [
            ("whole", table(all)),
            ("worker-0", table(few())),
            ("worker-1", table(train[150..500].iter())),
            ("evaluator", table(rest())),
        ] {
            fs::create_dir(data.at(name)).unwrap();
            fs::write(data.at(name).join("train.csv"), text).unwrap();
        }
        for name in ["whole", "evaluator"] {
            fs::write(data.at(name).join("test.csv"), &test).unwrap();
        }
        data
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A job of one server, two workers and an evaluator, each a process of its own.
struct Job {
    master: Process,
    members: Vec<Process>,
}

impl Job {
    /// Each member with this part of the data, in this order: workers, then the evaluator.
    fn start(test: &str, out: &Path, parts: [Vec<String>; 3]) -> Self {
        let job = job_id(test);
        let master = ["ps-master", "--listen=127.0.0.1:0", "--servers=1", "--workers=2"];
        let how = ["--passes=20", "--seed=1", "--out", text(out)];
        let master = Process::start(&job, &[&master[..], &how].concat());
        master.wait_for_stdout("listening=", PATIENCE);
        let stdout = master.stdout();
        let leader = stdout.split("listening=").nth(1).unwrap().split(';').next().unwrap();
        let to = ["--master", leader];
        let server = ["ps-server", "--shard=0", "--listen=127.0.0.1:0"];
        let mut members = vec![Process::start(&job, &[&server[..], &to].concat())];
        for part in &parts {
            let part: Vec<&str> = part.iter().map(String::as_str).collect();
            members.push(Process::start(&job, &[&["ps-worker"][..], &to, &part].concat()));
        }
        Self { master, members }
    }

    fn end(&mut self, code: i32) -> Finished {
        let end = self.master.wait(PATIENCE);
        end.expect_code(code);
        for member in &mut self.members {
            member.wait(PATIENCE).expect_code(code);
        }
        end
    }
}

/// The options of workers and evaluator.
fn shares(data: &Data) -> [Vec<String>; 3] {
    let share = |name: &str| {
        let own = ["--sharded".to_owned(), format!("--data={}", data.at(name).display())];
        own.to_vec()
    };
    let mut evaluator = share("evaluator");
    evaluator.extend(["--role=evaluator", "--serve-samples=127.0.0.1:0"].map(str::to_owned));
    [share("worker-0"), share("worker-1"), evaluator]
}

fn schema(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path.join("schema.json")).unwrap()).unwrap()
}

#[test]
fn shares_are_understood_as_the_whole_table() {
    let _alone = alone();
    let data = Data::new();
    let (whole, out) = (data.at("out-whole"), data.at("out-shares"));
    let from = data.at("whole");
    let args = ["local", "--instances=2", "--passes=20", "--seed=1", "--data", text(&from)];
    let args = [&args[..], &["--out", text(&whole)]].concat();
    let end_whole = Process::start(&job_id("schema-whole"), &args).wait(PATIENCE);
    end_whole.expect_code(0);
    let end = Job::start("schema-shares", &out, shares(&data)).end(0);

    let found = schema(&out);
    assert_eq!(found, schema(&whole));
    assert_eq!(found["samples"], 600);
    let accuracy = |end: &Finished| end.metric("final_test_accuracy").unwrap();
    let (own, expected) = (accuracy(&end), accuracy(&end_whole));
    assert!(own > 0.95 && (own - expected).abs() < 0.03, "{own}, of the whole {expected}");

    let predict = |model: &Path| {
        let mut psrun = Command::new(psrun());
        psrun.args(["predict", "--model"]).arg(model);
        let output = psrun.arg("--data").arg(from.join("test.csv")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let predictions = predict(&out);
    assert!(predictions.starts_with("prediction,p_ash,p_birch,p_oak\n"), "{predictions}");
    assert_eq!(predictions.lines().count(), 201);
}

#[test]
fn a_share_of_another_table_ends_the_job_with_both_names() {
    let _alone = alone();
    let data = Data::new();
    let path = data.at("worker-1").join("train.csv");
    let other = fs::read_to_string(&path).unwrap().replace("height", "weight");
    fs::write(&path, other).unwrap();
    let since = Instant::now();
    let mut job = Job::start("schema-other", &data.at("out"), shares(&data));
    let end = job.master.wait(PATIENCE);
    end.expect_code(1).expect_stderr(&[
        "worker-0/train.csv",
        "worker-1/train.csv",
        "weight",
        "height",
    ]);
    assert!(since.elapsed() < Duration::from_secs(60), "at once: {:?}", since.elapsed());
    for member in &mut job.members[1..] {
        member.wait(PATIENCE).expect_code(1).expect_stderr(&["weight"]);
    }
}

/// Makes the FIFOs of a channel one after another, as SageMaker does, and writes each full.
fn channel(stem: PathBuf, streams: usize, content: String) {
    std::thread::spawn(move || {
        for number in 0..streams {
            let fifo = PathBuf::from(format!("{}_{number}", stem.display()));
            assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
            // When nobody reads any more, the job has ended or failed: the test says which.
            if fs::write(&fifo, &content).is_err() {
                return;
            }
        }
    });
}

#[test]
fn fifos_are_understood_by_their_beginnings() {
    let _alone = alone();
    let data = Data::new();
    let read = |name: &str, file: &str| fs::read_to_string(data.at(name).join(file)).unwrap();
    let from = |name: &str| {
        let own = ["--sharded", "--pipe", "--data"].map(str::to_owned).to_vec();
        [own, vec![text(&data.at(name)).to_owned()]].concat()
    };
    let halves = read("worker-1", "train.csv");
    channel(data.at("fifo-0"), 20, read("whole", "train.csv"));
    channel(data.at("fifo-1"), 20, halves);
    channel(data.at("fifo-test"), 1, read("whole", "test.csv"));
    let mut evaluator = from("fifo-0");
    let test = data.at("fifo-test");
    evaluator.extend(["--role=evaluator", "--test-pipe", "--test", text(&test)].map(str::to_owned));
    let out = data.at("out");
    let end = Job::start("schema-fifos", &out, [from("fifo-0"), from("fifo-1"), evaluator]).end(0);
    assert_eq!(schema(&out)["samples"], 950);
    let accuracy = end.metric("final_test_accuracy").unwrap();
    assert!(accuracy > 0.95, "{accuracy}");
}
