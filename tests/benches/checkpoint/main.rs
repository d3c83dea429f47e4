//! What a checkpoint costs those who train meanwhile, and what going on from one needs.
//!
//! `cargo bench -p ps-tests --bench checkpoint [-- --rounds N] [-- --mib N] [-- only write|goodput|journal|restore]`
//!
//! Servers and the worker are processes of their own; the benchmark calls as a master does. The worker pushes 64 KiB at a time, at a steady rate, while its server
//! writes its part of a checkpoint, and while it does not, in turn; another pushes all of a smaller shard as fast as it can, and at the rate of a network. Two workers push as fast as they can to a server with
//! a journal and to one without, in turn. Lines with `=` are for machines.
//! docs/performance.md explains the figures.

mod goodput;
mod journal;
mod pushes;
mod restore;
mod server;
mod write;

use ps_tests::bench::{self, report};
use std::process::ExitCode;

/// That of the programs which are measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = bench::arguments();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    bench::ended(match words.as_slice() {
        ["role", "server", shard, folder] => server::serve(shard, folder),
        ["role", "pushes", address, mib] => pushes::run(address, mib),
        ["role", "all", address, mib, most] => goodput::run(address, mib, most),
        ["role", "durable", folder] => server::serve_durably(folder),
        ["role", "flood", address] => journal::flood(address),
        _ => run(&words),
    })
}

fn run(words: &[&str]) -> anyhow::Result<()> {
    let rounds = bench::option(words, "--rounds", 7)?;
    let mib: usize = bench::option(words, "--mib", 1024)?;
    let only = words.iter().position(|word| *word == "only").map(|at| &words[at + 1..]);
    let wanted = |name: &str| only.is_none_or(|names| names.contains(&name));
    report::machine();
    if wanted("write") {
        write::measure(rounds, mib)?;
    }
    if wanted("goodput") {
        goodput::measure(rounds, mib / 4)?;
    }
    if wanted("journal") {
        journal::measure(rounds)?;
    }
    if wanted("restore") {
        restore::measure(4 * mib)?;
    }
    Ok(())
}
