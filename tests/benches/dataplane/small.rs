//! Pushes of 4 KiB: what one takes, and how many go through in a second.

use super::cluster::Cluster;
use super::report::{self, Samples};

/// Steps of each way in one round.
const STEPS: usize = 300;

/// Pushes of one round with many under way at once; few enough that sums of them stay exact.
const PIPELINED: u64 = 5_000;

/// One after another on an idle machine, beside a ping-pong by hand.
pub(crate) fn measure(rounds: usize) -> anyhow::Result<()> {
    let mut cluster = Cluster::start(1, 1, 4 << 10)?;
    cluster.step("open-unix")?;
    let ways = ["raw-push", "push", "raw-unix-push", "unix-push"];
    let mut all = ways.map(|_| Samples::default());
    let mut medians = ways.map(|_| Samples::default());
    for _ in 0..rounds {
        for (way, (all, medians)) in ways.iter().zip(all.iter_mut().zip(&mut medians)) {
            let mut round = Samples::default();
            for _ in 0..STEPS {
                round.push(cluster.step(way)? * 1e6);
            }
            // The first calls find cold caches and closed windows.
            round.0.drain(..STEPS / 10);
            medians.push(round.median());
            all.0.extend(round.0);
        }
    }
    let (mut rates, mut unix_rates) = (Samples::default(), Samples::default());
    for _ in 0..rounds {
        rates.push(PIPELINED as f64 / cluster.step(&format!("many {PIPELINED}"))?);
        unix_rates.push(PIPELINED as f64 / cluster.step(&format!("unix-many {PIPELINED}"))?);
    }
    cluster.check()?;
    println!("\n4 KiB pushes one after another, microseconds");
    for (way, all) in ways.iter().zip(&all) {
        println!("{way:34} p50 {:8.1} p99 {:8.1}", all.median(), all.quantile(0.99));
    }
    let [raw, ours, _, unix] = &all;
    report::single("small_push_p50_us", ours.median());
    report::single("small_push_p99_us", ours.quantile(0.99));
    report::single("small_unix_push_p50_us", unix.median());
    report::single("small_raw_p50_us", raw.median());
    report::figure("small_push_over_raw", &medians[1].over(&medians[0]));
    report::figure("small_unix_push_over_raw", &medians[3].over(&medians[2]));
    report::figure("small_pushes_per_s", &rates);
    report::figure("small_unix_pushes_per_s", &unix_rates);
    Ok(())
}
