//! A server and a client of the product, as its programs make them.

use super::layouts;
use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use ps_client::{Client, ClientConfig, Gradient, ShardMapWatch, Weights};
use ps_core::correction::Correction;
use ps_core::model_spec::ModelSpec;
use ps_core::partition::chunk_elements;
use ps_core::settings::Wire;
use ps_core::{Layout, TensorSpec};
use ps_kernels::optimizer::Optimizer;
use ps_runtime::Connector;
use ps_tests::bench::server;
use ps_tests::loopback;
use std::sync::Arc;
use std::time::Duration;

/// Serves one shard on a free port of this address, printed, until it is killed.
pub(crate) fn serve(shard: &str, listen: &str) -> anyhow::Result<()> {
    server::serve(shard.parse()?, listen, Default::default())
}

fn client(
    worker: u32,
    addresses: &[String],
    connector: Connector,
    wire: Wire,
) -> anyhow::Result<Client> {
    let longest = Duration::from_secs(60);
    let config = ClientConfig {
        worker,
        shard_map: ShardMapWatch::fixed(addresses.to_vec()),
        patience: longest,
        attempt: longest,
        ..loopback::client_config("", 1, wire)
    };
    Ok(Client::new(config, &server::outside(connector))?)
}

/// A worker's client with a model, its gradients and its weights.
pub(crate) struct Ours {
    client: Client,
    gradient: Gradient,
    /// Covers nothing but the last tensor.
    small: Gradient,
    weights: Weights,
    model: ModelSpec,
    clock: u64,
    pushes: u64,
}

/// The gradient's values: sums of them are exact, none is denormal.
fn value(index: usize) -> f32 {
    ((index % 251) as f32 - 125.0) / 4096.0
}

impl Ours {
    /// A client that has the model created, if nobody has.
    pub(crate) async fn start(
        worker: u32,
        addresses: &[String],
        tensors: Vec<TensorSpec>,
        connector: Connector,
        wire: Wire,
    ) -> anyhow::Result<Self> {
        let elements = layouts::elements(&tensors);
        let client = client(worker, addresses, connector, wire)?;
        let model = ModelSpec {
            layout: Layout::new(tensors)?,
            optimizer: Optimizer::parse("sgd", None, None)?,
            rules: Vec::new(),
            correction: Correction::Auto,
            bound: None,
            chunk_elements: chunk_elements(elements, u32::try_from(addresses.len())?),
            shards: u32::try_from(addresses.len())?,
        };
        client.init(&model, vec![0.0; elements]).await?;
        let layout = Arc::new(model.layout.clone());
        let values: Vec<f32> = (0..elements).map(value).collect();
        let tensors = layout.tensors().len();
        let last = (0..tensors).map(|tensor| tensor + 1 == tensors).collect();
        let small = Gradient::new(layout.clone(), values.clone(), last, 0.0);
        let gradient = Gradient::new(layout, values, vec![true; tensors], 0.0);
        let weights = Weights::new(&model);
        Ok(Self { client, gradient, small, weights, model, clock: 0, pushes: 0 })
    }

    /// Another worker with the same gradient, over a connection of its own.
    pub(crate) fn sibling(&self, worker: u32, addresses: &[String]) -> anyhow::Result<Self> {
        Ok(Self {
            client: client(worker, addresses, Connector::tcp(), Wire::default())?,
            gradient: self.gradient.clone(),
            small: self.small.clone(),
            weights: Weights::new(&self.model),
            model: self.model.clone(),
            clock: 0,
            pushes: 0,
        })
    }

    /// Pushes a few elements.
    pub(crate) async fn push_small(&mut self) -> anyhow::Result<()> {
        self.weights.set_clock(self.clock);
        self.client.push(&self.small, 1.0, &self.weights).await?;
        self.clock += 1;
        Ok(())
    }

    /// Pushes the gradient so often, with so many pushes under way at once.
    pub(crate) async fn push_many(&mut self, count: u64, at_once: usize) -> anyhow::Result<()> {
        let pushes = (0..count).map(|_| self.client.push(&self.gradient, 1.0, &self.weights));
        stream::iter(pushes).buffer_unordered(at_once).try_for_each(|_| async { Ok(()) }).await?;
        self.pushes += count;
        Ok(())
    }

    /// Pushes the gradient at rate 1.
    pub(crate) async fn push(&mut self) -> anyhow::Result<()> {
        self.weights.set_clock(self.clock);
        self.client.push(&self.gradient, 1.0, &self.weights).await?;
        self.clock += 1;
        self.pushes += 1;
        Ok(())
    }

    /// Pulls the weights.
    pub(crate) async fn pull(&mut self) -> anyhow::Result<()> {
        Ok(self.client.pull(self.clock, &mut self.weights).await?)
    }

    /// Both in one call.
    pub(crate) async fn push_pull(&mut self) -> anyhow::Result<()> {
        self.weights.set_clock(self.clock);
        self.client.push_pull(&self.gradient, 1.0, &mut self.weights).await?;
        self.clock = self.weights.clock();
        self.pushes += 1;
        Ok(())
    }

    /// Whether the weights are those that so many pushes, of this worker or in all, make of zeros.
    pub(crate) async fn check(&mut self, all_pushes: Option<u64>) -> anyhow::Result<()> {
        self.client.read(&mut self.weights).await?;
        let pushes = all_pushes.unwrap_or(self.pushes) as f32;
        let found = self.weights.values();
        anyhow::ensure!(found.len() == self.model.layout.elements(), "{} weights", found.len());
        let wrong = (0..found.len()).find(|&index| found[index] != -pushes * value(index));
        match wrong {
            None => Ok(()),
            Some(index) => {
                let expected = -pushes * value(index);
                Err(anyhow::anyhow!("{} found, {expected} expected", found[index]))
                    .with_context(|| format!("weight {index} after {pushes} pushes"))
            }
        }
    }

    pub(crate) fn pushes(&self) -> u64 {
        self.pushes
    }
}
