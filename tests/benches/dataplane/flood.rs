//! What a worker that floods does to the others' small pushes.

use super::cluster::Cluster;
use super::report::{self, Samples};

const STEPS: usize = 1500;

/// p99 of one worker's 4 KiB pushes while another pushes 64 MiB four at a time, over the same on an
/// idle server.
pub(crate) fn measure() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(1, 2, 64 << 20)?;
    let mut latencies = || -> anyhow::Result<(Samples, Samples)> {
        let (mut idle, mut flooded) = (Samples::default(), Samples::default());
        for _ in 0..STEPS {
            idle.push(small(&mut cluster)?);
        }
        // More than is done meanwhile; the process is killed in the middle of it.
        cluster.worker(0).tell("flood 100000")?;
        for _ in 0..STEPS {
            flooded.push(small(&mut cluster)?);
        }
        Ok((idle, flooded))
    };
    let (idle, flooded) = latencies()?;
    println!("\n4 KiB pushes beside a worker that floods, microseconds");
    for (name, samples) in [("idle", &idle), ("flooded", &flooded)] {
        println!("{name:34} p50 {:8.1} p99 {:8.1}", samples.median(), samples.quantile(0.99));
    }
    report::single("flooded_p99_over_idle", flooded.quantile(0.99) / idle.quantile(0.99));
    report::single("flooded_p50_over_idle", flooded.median() / idle.median());
    Ok(())
}

/// Microseconds of one small push of the second worker.
fn small(cluster: &mut Cluster) -> anyhow::Result<f64> {
    let worker = cluster.worker(1);
    worker.tell("small")?;
    Ok(worker.line()?.parse::<f64>()? / 1e3)
}
