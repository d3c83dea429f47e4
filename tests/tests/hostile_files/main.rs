//! Files that nobody meant to be data, or that somebody meant to do harm with: each is answered, soon, within a bound of
//! memory, by a success or by one clean failure that names the file. Never by a crash, and never by nothing.
//!
//! `PS_HOSTILE_FILES=300` makes so many (`.ci/long` does), `PS_HOSTILE_SEED=n` others; a failure says which one it was, and
//! `PS_HOSTILE_ONLY=i` makes that one alone.

#![allow(clippy::unwrap_used)] // A test fails by panicking, its helpers too.

mod answer;
mod kinds;
mod monsters;
mod sound;

use answer::Answer;
use kinds::Kind;
use ps_tests::process::{alone, psrun};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What a process may need at most, whatever a file claims: what an empty one needs, a line of the largest size twice (it
/// grows by doubling), and statistics of the largest number of columns.
const MEMORY_MAX_MIB: u64 = 512;

/// Longer than any of these takes on two slow cores: ten gigabytes behind a gzip header are read to their end.
const PATIENCE: Duration = Duration::from_secs(120);

/// Files of the normal run: each kind once.
const FILES: usize = kinds::ALL.len();

/// One in so many goes through a job and through a model, too.
const ALSO_JOBS: usize = 7;

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

fn command(args: &[&str], data: &Path) -> Command {
    let mut psrun = Command::new(psrun());
    psrun.args(args).arg(data);
    psrun
}

/// A model of a table, for predicting.
fn model(folder: &Path) -> std::path::PathBuf {
    let (data, model) = (folder.join("sound"), folder.join("model"));
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("train.csv"), sound::table(200)).unwrap();
    let mut job = command(&["local", "--instances", "1", "--passes", "1", "--out"], &model);
    let output = job.arg("--data").arg(&data).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    model
}

fn check(kind: &Kind, what: &str, file: &Path, answer: &Answer) -> Option<String> {
    let problem = answer.problem(file, MEMORY_MAX_MIB, PATIENCE)?;
    let end: String = answer.stderr.chars().take(600).collect();
    Some(format!("{} ({what}): {problem}\n{end}", kind.name))
}

#[test]
fn hostile_files_are_answered_soon_and_within_bounds() {
    let _alone = alone();
    let (count, seed) = (number("PS_HOSTILE_FILES", FILES), number("PS_HOSTILE_SEED", 1));
    let only = std::env::var("PS_HOSTILE_ONLY").ok().map(|text| text.parse::<usize>().unwrap());
    let home = tempfile::tempdir().unwrap();
    let model = model(home.path());
    let (mut problems, mut most, mut failed) = (Vec::new(), 0, 0);
    for at in (0..count).filter(|at| only.is_none_or(|only| only == *at)) {
        let folder = tempfile::tempdir().unwrap();
        let mut draw = ChaCha8Rng::seed_from_u64((seed * 1_000_000 + at) as u64);
        let kind = &kinds::ALL[at % kinds::ALL.len()];
        let file = (kind.make)(&mut draw, folder.path());
        let mut runs = vec![("data", command(&["data"], folder.path()))];
        if at % ALSO_JOBS == 0 {
            let out = home.path().join(format!("out{at}"));
            let mut job = command(&["local", "--instances", "1", "--passes", "1", "--out"], &out);
            job.arg("--data").arg(folder.path());
            runs.push(("local", job));
            let mut predict = command(&["predict", "--out", "/dev/null", "--model"], &model);
            predict.arg("--data").arg(&file);
            runs.push(("predict", predict));
        }
        for (what, mut command) in runs {
            let answer = Answer::to(&mut command, MEMORY_MAX_MIB, PATIENCE);
            most = most.max(answer.memory_mib);
            failed += usize::from(answer.code != Some(0));
            problems.extend(check(kind, what, &file, &answer).map(|it| format!("file {at}: {it}")));
        }
    }
    println!("hostile_files={count}; hostile_failed={failed}; hostile_memory_mib={most};");
    assert!(
        problems.is_empty(),
        "seed {seed}, {} problems:\n{}",
        problems.len(),
        problems.join("\n\n")
    );
}
