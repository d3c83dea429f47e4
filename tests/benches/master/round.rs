//! What is measured, round after round.

use super::job::Job;
use ps_tests::bench::report::{self, Samples};

/// Prints what each round found, and at the end the medians.
pub(crate) fn measure(connections: u32, seconds: u32, rounds: u32) -> anyhow::Result<()> {
    report::machine();
    let mut job = Job::start(connections, seconds)?;
    // The first seconds hold the rest of the start: leases went out, the server is told of them.
    job.look()?;
    let names =
        ["master_cpu_of_a_core", "heartbeats_per_s", "heartbeat_p50_ms", "heartbeat_p99_ms"];
    let mut figures = names.map(|_| Samples::default());
    for round in 1..=rounds {
        let passed = job.look()?;
        let values = [
            passed.master_cpu_s / passed.seconds,
            passed.beats.count / passed.seconds,
            passed.beats.p50_ms,
            passed.beats.p99_ms,
        ];
        let texts = names.iter().zip(values).map(|(name, value)| format!("{name} {value:.3}"));
        eprintln!("round {round}: {}", texts.collect::<Vec<_>>().join(", "));
        figures.iter_mut().zip(values).for_each(|(figure, value)| figure.push(value));
    }
    report::single("master_connections", f64::from(connections));
    names.iter().zip(&figures).for_each(|(name, figure)| report::figure(name, figure));
    report::single("master_memory_peak_mib", job.master_memory_mib()?);
    Ok(())
}
