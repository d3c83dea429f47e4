//! What the data plane costs beside moving the same bytes by hand, on this machine, in this run.
//!
//! `cargo bench -p ps-tests --bench dataplane [-- --full] [-- --rounds N] [-- only NAME ...]`
//!
//! Servers, workers and the raw peers are processes of their own; every way of moving bytes takes its
//! turn in every round, so that a noisy machine is noisy for all of them. Every byte lands in its
//! destination, which is checked outside the timed part. Lines with `=` are for machines, the table
//! is for people. docs/performance.md explains the figures.

mod apply;
mod cluster;
mod flood;
mod layouts;
mod memory;
mod ours;
mod plain;
mod raw;
mod shaped;
mod slow_link;
mod small;
mod worker;

use ps_tests::bench::{self, peer, report};
use std::process::ExitCode;

/// That of the programs which are measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = bench::arguments();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    bench::ended(match words.as_slice() {
        ["role", "raw", sockets @ ..] => raw::serve(sockets),
        ["role", "server", shard, listen] => ours::serve(shard, listen),
        ["role", "worker", rest @ ..] => worker::run(rest),
        ["role", "crowd", rest @ ..] => shaped::crowd(rest),
        _ => run(&words),
    })
}

fn run(words: &[&str]) -> anyhow::Result<()> {
    let is_full = words.contains(&"--full");
    let rounds = bench::option(words, "--rounds", 9)?;
    let only = words.iter().position(|word| *word == "only").map(|at| &words[at + 1..]);
    let wanted = |name: &str| only.is_none_or(|names| names.contains(&name));
    report::machine();
    if wanted("apply") {
        apply::measure(rounds)?;
    }
    if wanted("small") {
        small::measure(rounds)?;
    }
    if wanted("one") {
        cluster::one(rounds)?;
    }
    if wanted("applied") {
        cluster::applied(rounds)?;
    }
    if wanted("many") {
        cluster::many(rounds)?;
    }
    if wanted("flood") {
        flood::measure()?;
    }
    if wanted("memory") {
        memory::measure()?;
    }
    if wanted("slow") {
        slow_link::measure(rounds)?;
    }
    if is_full {
        cluster::full(rounds)?;
        shaped::measure()?;
    } else if only.is_some() && wanted("shaped") {
        shaped::measure()?;
    }
    Ok(())
}

/// What a worker's tasks run on: `ps_cli::process::Tasks::OneThread`.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
