//! Pushes while a checkpoint is written, and while none is.

use super::server;
use ps_tests::bench::peer::Peer;
use ps_tests::bench::report::{self, Samples};
use std::time::Instant;

/// Pushes of each half of a round: three seconds of them.
const PUSHES: usize = 1500;

/// The 99th percentile of what pushes take with a checkpoint, less that without; memory over that before; and
/// how fast it is written, over plain writing of as many bytes with a sync.
pub(crate) fn measure(rounds: usize, mib: usize) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(".")?;
    let server = server::start(0, folder.path())?;
    let mut worker = Peer::start(&["pushes", &server.address, &mib.to_string()])?;
    anyhow::ensure!(worker.line()? == "ready", "the worker did not start");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut quiet, mut busy, mut added) =
        (Samples::default(), Samples::default(), Samples::default());
    let (mut memory, mut speed) = (Samples::default(), Samples::default());
    for round in 0..rounds as u64 {
        let before = pushes(&mut worker, || Ok(()))?;
        let resident = server.peer.reset_memory_peak()? as f64;
        let mut took = 0.0;
        let during = pushes(&mut worker, || {
            let begun = Instant::now();
            let file = runtime.block_on(server::snapshot(&server.address, round + 1))?;
            took = begun.elapsed().as_secs_f64();
            anyhow::ensure!(file.bytes >= (mib << 20) as u64, "{} bytes", file.bytes);
            Ok(())
        })?;
        memory.push(server.peer.memory_peak_bytes()? as f64 / resident);
        let (before, during) = (before.quantile(0.99), during.quantile(0.99));
        quiet.push(before);
        busy.push(during);
        added.push(during - before);
        speed.push(plain_write_s(folder.path(), mib)? / took);
    }
    println!("\npushes of 64 KiB to a shard of {mib} MiB, p99 in milliseconds");
    println!("{:34} {:>26}", "no checkpoint", quiet.spread());
    println!("{:34} {:>26}", "while one is written", busy.spread());
    report::figure("checkpoint_added_p99_ms", &added);
    report::figure("checkpoint_memory_over_before", &memory);
    report::figure("checkpoint_write_over_plain", &speed);
    Ok(())
}

/// What each push took, in milliseconds, while something else is done.
fn pushes(
    worker: &mut Peer,
    meanwhile: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Samples> {
    worker.tell(&PUSHES.to_string())?;
    meanwhile()?;
    let line = worker.line()?;
    let took: Result<Vec<f64>, _> = line.split(' ').map(str::parse).collect();
    Ok(Samples(took?.into_iter().map(|us: f64| us / 1e3).collect()))
}

/// Seconds that as many bytes take to be written and synced by hand, in pieces of one chunk.
fn plain_write_s(folder: &std::path::Path, mib: usize) -> anyhow::Result<f64> {
    use std::io::Write;
    let path = folder.join("plain");
    let piece = vec![1_u8; 256 << 10];
    let begun = Instant::now();
    let mut file = std::fs::File::create(&path)?;
    for _ in 0..mib * 4 {
        file.write_all(&piece)?;
    }
    file.sync_all()?;
    let took = begun.elapsed().as_secs_f64();
    std::fs::remove_file(&path)?;
    Ok(took)
}
