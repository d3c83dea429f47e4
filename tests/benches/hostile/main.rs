//! What a job loses to a hundred hostile streams of each kind, and what they make its server hold.
//!
//! `cargo bench -p ps-tests --bench hostile [-- --seconds S] [-- only KIND ..]`
//!
//! A job on this machine (three instances, the bundled digits) trains while a process of lowest priority attacks one of
//! its servers. Steps are counted by that server; each kind is compared with the times just before and after it.
//! They are much longer than a flood's beginning: until the receive buffers of a hundred connections are full of small segments, the
//! kernel is busy with them, whatever is read.
//! Lines with `=` are for machines.

mod frames;
mod job;
mod kinds;
mod load;

use job::Job;
use kinds::{KINDS, Kind};
use ps_core::limits::CONNECTION_WINDOW_BYTES;
use ps_tests::bench::peer::Peer;
use ps_tests::bench::{arguments, ended, option};
use std::process::ExitCode;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MIB: u64 = 1 << 20;

/// What requests of one message may take (docs/adr/0020), and what an allocator keeps.
const REQUESTS_MIB: u64 = 24 + 128 + 64;

fn main() -> ExitCode {
    let words = arguments();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    ended(match words.as_slice() {
        ["role", "load", kind, address, job] => load::run(kind, address, job),
        words => bench(words),
    })
}

fn bench(words: &[&str]) -> anyhow::Result<()> {
    let seconds: f64 = option(words, "--seconds", 20.0)?;
    let only = words.iter().position(|word| *word == "only").map(|at| &words[at + 1..]);
    let time = Duration::from_secs_f64(seconds);
    let job = Job::start()?;
    let mut worst = f64::INFINITY;
    let mut over = 0;
    println!("a hundred streams each, {time:?} with and without:");
    let mut undisturbed = job.steps_in(time)?;
    for kind in KINDS.iter().filter(|kind| only.is_none_or(|only| only.contains(&kind.name))) {
        let (share, grown, allowed) = measure(&job, kind, time, &mut undisturbed)?;
        worst = worst.min(share);
        over += u32::from(grown > allowed);
        println!(
            "hostile={}; samples_share={share:.3}; server_grew_mib={grown}; server_may_grow_mib={allowed};",
            kind.name
        );
    }
    println!("hostile_samples_share_worst={worst:.3}; hostile_memory_over_budget={over};");
    Ok(())
}

/// The share of undisturbed steps, before and after, what the server grew by, and what it may grow by, both in MiB.
fn measure(
    job: &Job,
    kind: &Kind,
    time: Duration,
    undisturbed: &mut f64,
) -> anyhow::Result<(f64, u64, u64)> {
    let before = job.reset_memory_peak()?;
    let mut attackers = Peer::start(&["load", kind.name, &job.server, &job.id])?;
    attackers.line()?;
    let disturbed = job.steps_in(time)?;
    drop(attackers);
    let grown = job.memory_peak()?.saturating_sub(before) / MIB;
    let after = job.steps_in(time)?;
    let share = 2.0 * disturbed / (std::mem::replace(undisturbed, after) + after);
    let windows = kind.connections as u64 * u64::from(CONNECTION_WINDOW_BYTES) / MIB;
    let allowed = windows + job::BUFFER_MIB + REQUESTS_MIB;
    Ok((share, grown, allowed))
}
