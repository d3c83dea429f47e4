//! Simulates jobs, one for each seed, and says what went wrong.
//!
//! `cargo run --release -p ps-tests --bin sim -- [--seeds N] [--first-seed S] [--durability memory|wal] [--faults times|durable-steps]`
//!
//! With `--durability wal` servers and the master die, too: at any time, or, with `--faults durable-steps`, before, after or in the middle
//! of a step that outlives them (docs/adr/0041-fail-points.md).
//!
//! One line for machines; a seed that goes wrong is told with the command that runs it again, and the program exits with 1.

use ps_tests::bench::{ended, option};
use ps_tests::sim::cluster::Outcome;
use ps_tests::sim::{managed, scenarios, seeds};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// That of the programs which are simulated.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => ended(Err(error)),
    }
}

/// Whether all went well.
fn run(words: &[&str]) -> anyhow::Result<bool> {
    let (count, first) = (option(words, "--seeds", 200)?, option(words, "--first-seed", 0)?);
    let durability: String = option(words, "--durability", "memory".to_owned())?;
    let faults: String = option(words, "--faults", "times".to_owned())?;
    let job: fn(u64) -> Outcome = match (durability.as_str(), faults.as_str()) {
        ("memory", "times") => |seed| managed::run(&scenarios::storm(seed)),
        ("wal", "times") => |seed| managed::run(&scenarios::durable(seed)),
        ("wal", "durable-steps") => {
            |seed| managed::run_with_checkpoints(&scenarios::fail_points(seed))
        }
        (durability, faults) => anyhow::bail!(
            "--durability {durability} --faults {faults}: expected memory or wal, and times, or durable-steps beside wal"
        ),
    };
    let options = format!("--durability {durability} --faults {faults}");
    let hangs = AtomicU64::new(0);
    let begun = Instant::now();
    let outcomes = seeds::run_all(first..first + count, |seed| {
        let run = || job(seed);
        // A job that does not end in its time panics.
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
            hangs.fetch_add(1, Ordering::Relaxed);
            again(seed, &options, "it does not end");
            Outcome { seed, ..Outcome::default() }
        })
    });
    let took = begun.elapsed().as_secs_f64();
    let (mut lost, mut doubled, mut other) = (0, 0, 0);
    for outcome in &outcomes {
        let Some(violation) = &outcome.violation else { continue };
        again(outcome.seed, &options, violation);
        match &outcome.push {
            Some(push) if push.is_lost() => lost += 1,
            Some(_) => doubled += 1,
            None => other += 1,
        }
    }
    let (hangs, seeds_per_s) = (hangs.into_inner(), count as f64 / took);
    println!(
        "seeds={count}; lost={lost}; doubled={doubled}; other={other}; hangs={hangs}; \
         seeds_per_s={seeds_per_s:.2};"
    );
    Ok(lost + doubled + other + hangs == 0)
}

fn again(seed: u64, options: &str, what: &str) {
    eprintln!(
        "seed {seed}: {what}; again with: cargo run --release -p ps-tests --bin sim -- --seeds 1 --first-seed {seed} \
         {options}"
    );
}
