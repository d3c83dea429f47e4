//! Exchanges over a link of 1 Gbit/s, between network namespaces; needs root and iproute2.

use super::peer::Peer;
use super::report::{self, Samples};
use std::process::Command;

/// Bytes of the model: a step takes an eighth of a second for each direction.
const BYTES: usize = 16 << 20;
pub(crate) const SERVER: &str = "10.213.7.1";
const WORKER: &str = "10.213.7.2";

/// Two namespaces with a shaped link between them, gone when this is dropped.
pub(crate) struct Link {
    pub(crate) server: String,
    pub(crate) worker: String,
}

impl Link {
    pub(crate) fn start(rate: &str) -> anyhow::Result<Self> {
        let id = std::process::id();
        let link = Self { server: format!("psb{id}s"), worker: format!("psb{id}w") };
        let (server, worker) = (&link.server, &link.worker);
        ip(&format!("netns add {server}"))?;
        ip(&format!("netns add {worker}"))?;
        ip(&format!(
            "link add {server} netns {server} type veth peer name {worker} netns {worker}"
        ))?;
        for (name, address) in [(server, SERVER), (worker, WORKER)] {
            ip(&format!("-n {name} addr add {address}/24 dev {name}"))?;
            ip(&format!("-n {name} link set {name} up"))?;
            ip(&format!("-n {name} link set lo up"))?;
            let shape = format!(
                "netns exec {name} tc qdisc add dev {name} root tbf rate {rate} burst 256kb latency 20ms"
            );
            ip(&shape)?;
        }
        Ok(link)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = ip(&format!("netns delete {}", self.server));
        let _ = ip(&format!("netns delete {}", self.worker));
    }
}

fn ip(words: &str) -> anyhow::Result<()> {
    let done = Command::new("ip").args(words.split(' ')).output()?;
    anyhow::ensure!(done.status.success(), "ip {words}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// Steps a second with bf16 over those with f32; what each way took, in turn.
pub(crate) fn measure(rounds: usize) -> anyhow::Result<()> {
    println!();
    let link = match Link::start("1gbit") {
        Ok(link) => link,
        Err(error) => {
            println!("the slow link is skipped: {error:#}");
            return Ok(());
        }
    };
    let mut server = Peer::start_in(&link.server, &["server", "0", SERVER])?;
    let ours = format!("ours={}", server.line()?);
    let bytes = BYTES.to_string();
    let words = ["worker", "0", &bytes, "raw=", "unix=", &ours];
    let mut worker = Peer::start_in(&link.worker, &words)?;
    anyhow::ensure!(worker.line()? == "ready", "a worker did not start");
    worker.tell("open-bf16")?;
    worker.line()?;
    let (mut f32_rates, mut bf16_rates) = (Samples::default(), Samples::default());
    for round in 0..rounds + 1 {
        for (words, rates) in [("both", &mut f32_rates), ("bf16-both", &mut bf16_rates)] {
            worker.tell(words)?;
            let seconds = worker.line()?.parse::<f64>()? / 1e9;
            if round > 0 {
                rates.push(1.0 / seconds);
            }
        }
    }
    println!("16 MiB of weights over 1 Gbit/s, steps a second");
    println!("{:34} {:>26}", "f32", f32_rates.spread());
    println!("{:34} {:>26}", "bf16", bf16_rates.spread());
    report::figure("bf16_over_f32_slow_link", &bf16_rates.over(&f32_rates));
    Ok(())
}
