//! A worker that creates the model, and pushes a little of it at a steady rate when it is told to.

use super::server::model;
use ps_client::{Client, ClientConfig, Gradient, ShardMapWatch, Weights};
use ps_core::settings::Wire;
use ps_runtime::Connector;
use ps_tests::bench::server;
use ps_tests::loopback;
use std::io::BufRead;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// From one push to the next, whatever the one before took.
const PERIOD: Duration = Duration::from_millis(2);

/// Serves `COUNT` by so many pushes, and says how many microseconds each took after its time.
pub(crate) fn run(address: &str, mib: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let model = model(mib.parse()?, 1)?;
        let longest = Duration::from_secs(120);
        let config = ClientConfig {
            shard_map: ShardMapWatch::fixed([address]),
            patience: longest,
            attempt: longest,
            ..loopback::client_config("", 1, Wire::default())
        };
        let client = Client::new(config, &server::outside(Connector::tcp()))?;
        let elements = model.layout.elements();
        client.init(&model, vec![0.0; elements]).await?;
        let layout = Arc::new(model.layout.clone());
        let all = Gradient::new(layout.clone(), vec![1.0; elements], vec![true, true], 0.0);
        let mut weights = Weights::new(&model);
        // All memory that the shard has is in use.
        client.push(&all, 1e-9, &weights).await?;
        drop(all);
        let gradient = Gradient::new(layout, vec![1.0; elements], vec![false, true], 0.0);
        println!("ready");
        let mut clock = 1;
        for line in std::io::stdin().lock().lines() {
            let begun = Instant::now();
            let mut lates = Vec::new();
            for push in 0..line?.parse()? {
                let due = begun + PERIOD * push;
                tokio::time::sleep_until(due.into()).await;
                weights.set_clock(clock);
                client.push(&gradient, 1e-9, &weights).await?;
                clock += 1;
                // Since it was due: a push that was held up holds up those behind it.
                lates.push(due.elapsed().as_micros().to_string());
            }
            println!("{}", lates.join(" "));
        }
        Ok(())
    })
}
