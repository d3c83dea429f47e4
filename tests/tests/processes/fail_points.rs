//! Guarantee 10 on real processes: masters and servers kill themselves before, after or in the middle of a step that outlives
//! them, again and again within one job, and every push counts once (docs/adr/0041-fail-points.md).
//!
//! The model's gradients are ones at rate 1, so that each weight is the number of steps of the job. `PS_SIM_FAIL_KILLS` says how
//! many processes are to be killed (40; 1,000 in `.ci/long`), `PS_SIM_FAIL_SEED` where to begin.

use ps_runtime::files::{DurableStep, FailPoint, Moment};
use ps_tests::process::{Finished, Process, alone, counting_model, job_id};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(90);
const SOON: Duration = Duration::from_secs(10);

const PASSES: usize = 10;

/// Batches of 32 of the 1,437 digits.
const STEPS_OF_A_PASS: usize = 45;

/// Deaths of one process in one job: so many are started again at once, or nearly.
const DEATHS: usize = 4;

const PROCESSES: [&str; 4] = ["master", "server:0", "server:1", "server:2"];

/// How many steps of each kind a process did.
type Counts = BTreeMap<DurableStep, u64>;

/// A job, with folders of its own, that is told of these points.
struct Job {
    out: TempDir,
    points: String,
    process: Process,
}

/// Checkpoints all the time, and journals that begin anew all the time.
const BUSY: [&str; 4] = ["--journal-mib", "1", "--checkpoint-every-steps", "60"];

impl Job {
    fn start(points: &str, options: &[&str]) -> Self {
        let out = tempfile::tempdir().unwrap();
        let [results, checkpoints] =
            ["run", "checkpoints"].map(|name| out.path().join(name).to_str().unwrap().to_owned());
        let passes = PASSES.to_string();
        let job = "local --instances 3 --model counting --optimizer sgd --lr 1 --divergence off --batch-size 32 \
                   --durability wal";
        let folders = ["--passes", &passes, "--out", &results, "--checkpoints", &checkpoints];
        let words: Vec<&str> =
            job.split_whitespace().chain(folders).chain(options.iter().copied()).collect();
        let variables = [("PS_FAIL_POINTS", points)];
        let job = job_id("fail-points");
        let process = Process::start_program(counting_model(), &job, &words, &variables);
        Self { out, points: points.to_owned(), process }
    }

    fn run(&self) -> std::path::PathBuf {
        self.out.path().join("run")
    }

    /// What a process wrote to its log, all of its lives.
    fn log(&self, name: &str) -> String {
        let name = name.replace(':', "-");
        let logs = std::fs::read_dir(self.run().join("logs")).unwrap().map(|it| it.unwrap().path());
        let mut logs = logs.filter(|path| path.file_stem().is_some_and(|stem| *stem == *name));
        std::fs::read_to_string(logs.next().unwrap_or_else(|| panic!("no log of {name}"))).unwrap()
    }

    /// Waits for its end, at which everything must be as if nobody had died; how many have.
    fn expect_everything(mut self) -> (Finished, usize) {
        let end = self.process.wait(PATIENCE);
        let points = format!("PS_FAIL_POINTS={}", self.points);
        assert_eq!(end.status.code(), Some(0), "{points}\n{}", end.stderr);
        let model = std::fs::read(self.run().join("model.safetensors")).unwrap();
        let model = SafeTensors::deserialize(&model).unwrap();
        let counts = model.tensor("counts").unwrap();
        let counts =
            counts.data().chunks_exact(4).map(|it| -f32::from_le_bytes(it.try_into().unwrap()));
        let expected = (PASSES * STEPS_OF_A_PASS) as f32;
        let wrong: Vec<(usize, f32)> =
            counts.enumerate().filter(|(_, it)| *it != expected).collect();
        assert!(
            wrong.is_empty(),
            "{points}\n{} weights are not {expected}: {:?}\n{}",
            wrong.len(),
            &wrong[..wrong.len().min(5)],
            end.stderr
        );
        self.expect_report(&points);
        assert!(!self.run().join("journal").exists(), "{points}: nobody needs it any more");
        self.expect_checkpoints(&points);
        let died: usize = PROCESSES.map(|name| self.expect_named(name, &end, &points)).iter().sum();
        self.process.expect_nobody_left(SOON);
        (end, died)
    }

    fn expect_report(&self, points: &str) {
        let report = std::fs::read(self.run().join("report.json")).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        let passes = report["passes"].as_array().unwrap().iter().map(|pass| pass["pass"].as_u64());
        assert!(passes.eq((1..=PASSES as u64).map(Some)), "{points}\n{report}");
        assert_eq!(report["samples_skipped"], 0, "{points}\n{report}");
    }

    /// What is complete there is whole.
    fn expect_checkpoints(&self, points: &str) {
        let folder = self.out.path().join("checkpoints");
        let words = ["checkpoint", "verify", folder.to_str().unwrap()];
        let end = Process::start("", &words).wait(SOON);
        assert_eq!(end.status.code(), Some(0), "{points}\n{}{}", end.stdout, end.stderr);
    }

    /// Each death of this process is told, with its name.
    fn expect_named(&self, name: &str, end: &Finished, points: &str) -> usize {
        let died = self.log(name).matches("PS_FAIL_POINT: dying ").count();
        let who = name.replace(':', " ");
        let is_told =
            |line: &&str| line.contains(&format!("{who} (pid")) && line.contains("signal 9");
        let told = end.stderr.lines().filter(is_told).count();
        assert_eq!(told, died, "{points}\n{who} died\n{}", end.stderr);
        died
    }
}

/// The steps that each process does in a job in which nobody dies.
fn traced() -> BTreeMap<&'static str, Counts> {
    let mut job = Job::start("trace", &BUSY);
    job.process.wait(PATIENCE).expect_code(0);
    let counts = |name: &&'static str| {
        let mut counts = Counts::new();
        let log = job.log(name);
        let words =
            log.lines().filter_map(|line| line.split_once("durable step: ")?.1.split(' ').next());
        for word in words {
            let step = DurableStep::ALL.into_iter().find(|step| step.word() == word).unwrap();
            *counts.entry(step).or_default() += 1;
        }
        (*name, counts)
    };
    PROCESSES.iter().map(counts).collect()
}

/// A point among so many steps that a life has, if a job is to have several: of any step, or of a kind, for most steps are
/// batches of a journal.
fn draw(counts: &Counts, random: &mut ChaCha8Rng) -> FailPoint {
    let kinds: Vec<(Option<DurableStep>, u64)> =
        counts.iter().map(|(step, count)| (Some(*step), *count)).collect();
    let any = (None, counts.values().sum());
    let (step, count) = if random.random_bool(0.3) { any } else { *kinds.choose(random).unwrap() };
    let moments = [Moment::Before, Moment::After, Moment::Half];
    let moments = if step == Some(DurableStep::Write) { &moments[..] } else { &moments[..2] };
    let most = (count / DEATHS as u64 / 2).max(1);
    FailPoint {
        moment: *moments.choose(random).unwrap(),
        step,
        count: random.random_range(1..=most),
    }
}

fn points_of(traced: &BTreeMap<&str, Counts>, random: &mut ChaCha8Rng) -> String {
    let mut points = Vec::new();
    for (name, counts) in traced {
        points.extend((0..DEATHS).map(|_| format!("{name}:{}", draw(counts, random))));
    }
    points.join(",")
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn processes_die_at_any_durable_step_and_every_push_counts_once() {
    let _alone = alone();
    counting_model();
    let wanted = number("PS_SIM_FAIL_KILLS", 40) as usize;
    let first = number("PS_SIM_FAIL_SEED", 0);
    let traced = traced();
    for (name, counts) in &traced {
        println!("{name}: {counts:?}");
    }
    let begun = Instant::now();
    let (mut kills, mut seed) = (0, first);
    while kills < wanted {
        let points = points_of(&traced, &mut ChaCha8Rng::seed_from_u64(seed));
        let started = Instant::now();
        let (_, died) = Job::start(&points, &BUSY).expect_everything();
        println!("seed {seed}: {died} died in {:.1} s", started.elapsed().as_secs_f64());
        kills += died;
        seed += 1;
        assert!(
            (seed - first) as usize <= wanted.max(4),
            "hardly anybody dies: {kills} of {wanted}"
        );
    }
    println!(
        "fail_point_kills={kills}; fail_point_jobs={}; fail_points_s={:.1};",
        seed - first,
        begun.elapsed().as_secs_f64()
    );
}

/// Found while fail points were made: a master that was killed before it had written its state ended its job, and so did who was killed while
/// it left.
#[test]
fn regression_who_is_killed_at_its_first_or_last_steps_does_not_end_the_job() {
    let _alone = alone();
    let first = ["before:1", "after:1", "half:write:1", "before:rename:1"];
    let first: Vec<String> = first.iter().map(|it| format!("master:{it},server:1:{it}")).collect();
    let (end, died) = Job::start(&first.join(","), &[]).expect_everything();
    assert_eq!(died, 8, "{}", end.stderr);
    // Nothing is removed before, without checkpoints that are out of use.
    let last = "server:0:before:remove:1,server:1:after:remove:1,server:2:after:remove:2";
    let (end, died) = Job::start(last, &["--checkpoint-every-passes", "1000"]).expect_everything();
    assert_eq!(died, 3, "{}", end.stderr);
}

/// A process that is no test's says nothing of it, and a list that is none is refused before anybody is started.
#[test]
fn what_is_no_list_of_points_is_refused() {
    let _alone = alone();
    let out = tempfile::tempdir().unwrap();
    let words = ["local", "--instances", "1", "--out", out.path().to_str().unwrap()];
    let start = |points: &str| {
        let variables = [("PS_FAIL_POINTS", points)];
        Process::start_program(Path::new(counting_model()), "", &words, &variables).wait(SOON)
    };
    start("server:0:sometime").expect_code(1).expect_stderr(&["PS_FAIL_POINTS", "`sometime`"]);
    start("worker:0:before:1").expect_code(1).expect_stderr(&["server:I:POINT"]);
}
