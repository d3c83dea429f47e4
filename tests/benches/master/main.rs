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
mod programs;
mod round;

use std::process::ExitCode;

/// That of the programs which are measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match words.as_slice() {
        ["role", "ps-master", args @ ..] => return programs::master(args),
        ["role", "ps-server", args @ ..] => return programs::server(args),
        ["role", "load", master, connections, seconds] => load::run(master, connections, seconds),
        _ => run(&words),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> anyhow::Result<()> {
    let option = |name: &str, default: u32| -> anyhow::Result<u32> {
        let at = words.iter().position(|word| *word == name);
        Ok(at.and_then(|at| words.get(at + 1)).map_or(Ok(default), |text| text.parse())?)
    };
    let connections = option("--connections", 1_000)?;
    let (seconds, rounds) = (option("--seconds", 20)?, option("--rounds", 3)?);
    round::measure(connections, seconds, rounds)
}
