//! What a master costs while a thousand workers are in its job.
//!
//! `cargo bench -p ps-tests --bench master [-- --connections N] [-- --seconds S] [-- --rounds N]`
//!
//! The master, a server and the load are processes of their own, so that the master's CPU time is
//! measured alone. The master is the whole program `ps-master`; `PS_BENCH_PSRUN` names a `psrun` whose
//! `ps-master` is measured instead: the build that is shipped, or another version. The load is one
//! process with a member and a TCP connection for each worker. Lines with `=` are for machines.
//! docs/performance.md explains the figures.

mod job;
mod load;
mod round;

use ps_tests::bench::{self, programs};
use std::process::ExitCode;

/// That of the programs which are measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = bench::arguments();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    bench::ended(match words.as_slice() {
        ["role", "ps-master", args @ ..] => return programs::master(args),
        ["role", "ps-server", args @ ..] => return programs::server(args),
        ["role", "load", master, connections, seconds] => load::run(master, connections, seconds),
        _ => run(&words),
    })
}

fn run(words: &[&str]) -> anyhow::Result<()> {
    let connections = bench::option(words, "--connections", 1_000)?;
    let seconds = bench::option(words, "--seconds", 20)?;
    let rounds = bench::option(words, "--rounds", 3)?;
    round::measure(connections, seconds, rounds)
}
