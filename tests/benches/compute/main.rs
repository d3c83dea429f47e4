//! What a training step costs: alone, with its exchange, and in PyTorch on the same cores.
//!
//! `cargo bench -p ps-tests --bench compute [-- --rounds N] [-- only NAME ...]`
//!
//! Every way of training is a process of its own with one compute thread; all of them are started,
//! then each takes its turn in every round, so that a noisy machine is noisy for all of them. With
//! `PS_BENCH_TORCH` (a Python with torch) the same models are trained by PyTorch, too; with
//! `PS_BENCH_PEERS` (a folder with `tf_dense.py`), `PS_BENCH_TF` (a Python with tensorflow) and
//! `PS_TEST_DATA` the whole-job rows are measured. `PS_BENCH_DEVICE=cuda:0` computes on a GPU, in
//! PyTorch too; `deploy/gpu/build bench -p ps-tests --features ps-worker/cuda --bench compute` builds
//! that. Lines with `=` are for machines.
//! docs/performance.md explains the figures.

mod jobs;
mod memory;
mod rounds;
mod timed;
mod trained;

use ps_tests::bench;
use std::process::ExitCode;

/// That of the programs which are measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = bench::arguments();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    bench::ended(match words.as_slice() {
        ["role", "alone", model] => trained::alone(model),
        ["role", "server"] => trained::serve(),
        ["role", "worker", model, depth, address] => trained::with_server(model, depth, address),
        ["role", "memory", address] => memory::worker(address),
        _ => run(&words),
    })
}

fn run(words: &[&str]) -> anyhow::Result<()> {
    let rounds = bench::option(words, "--rounds", 7)?;
    let only = words.iter().position(|word| *word == "only").map(|at| &words[at + 1..]);
    let wanted = |name: &str| only.is_none_or(|names| names.contains(&name));
    for model in trained::MODELS {
        if wanted(model) {
            rounds::measure(model, rounds)?;
        }
    }
    if wanted("memory") {
        memory::measure()?;
    }
    if wanted("jobs") {
        jobs::measure(rounds)?;
    }
    Ok(())
}
