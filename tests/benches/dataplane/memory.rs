//! What a server holds while a crowd pushes at once.

use super::cluster::Cluster;
use super::report;
use ps_core::limits;
use ps_server::config::Bounds;

const WORKERS: usize = 64;
const BYTES: usize = 64 << 20;

/// The peak of a server's memory over what it may have.
pub(crate) fn measure() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(1, 1, BYTES)?;
    for _ in 0..3 {
        cluster.step(&format!("crowd {WORKERS}"))?;
    }
    let peak = cluster.server(0).memory_peak_bytes()?;
    // One for the crowd's first worker; plain SGD has no state.
    let windows = (WORKERS + 1) * limits::CONNECTION_WINDOW_BYTES as usize;
    let buffers = Bounds::default().buffer_bytes;
    let allowed = BYTES + windows + buffers;
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    println!("\n{WORKERS} workers push {} MiB each at once", BYTES >> 20);
    report::single("server_memory_peak_mib", mib(peak as f64));
    report::single("server_memory_allowed_mib", mib(allowed as f64));
    report::single("server_memory_over_budget", peak as f64 / allowed as f64);
    Ok(())
}
