//! A worker's connection to all servers: push, pull and push_pull, exactly once.

mod push;

pub use push::NumberedPush;

use crate::chunks::PushChunks;
use crate::config::{ClientConfig, ClientState, Traffic};
use crate::encoder::Encoder;
use crate::error::Error;
use crate::gradient::Gradient;
use crate::outstanding::Outstanding;
use crate::plan::plan;
use crate::pool::Floats;
use crate::shard::{ShardClient, Step};
use crate::weights::Weights;
use futures_util::future::{join_all, try_join_all};
use ps_core::TensorKind;
use ps_core::ids::{Clock, Epoch, WorkerId};
use ps_core::model_spec::ModelSpec;
use ps_kernels::encoding::Encoding;
use ps_proto::convert::data::ELEMENT_BYTES;
use ps_proto::v1;
use ps_runtime::Outside;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// A worker's connection to all servers.
pub struct Client {
    state: Arc<ClientState>,
    shards: Vec<ShardClient>,
    outstanding: Outstanding,
    /// By shard. What pushes left out is theirs, and so ends with this registration.
    encoders: Vec<Mutex<Encoder>>,
}

impl Client {
    /// A client of these servers; nothing is connected yet.
    ///
    /// # Errors
    /// An address is not `host:port`.
    pub fn new(config: ClientConfig, outside: &Outside) -> Result<Self, Error> {
        let state = Arc::new(ClientState::new(config));
        let addresses = state.config.shard_map.current().addresses;
        let shards: Result<Vec<_>, _> = (0..)
            .zip(&addresses)
            .map(|(shard, address)| ShardClient::new(shard, address, state.clone(), outside))
            .collect();
        let shards = shards?;
        let encoders = shards.iter().map(|_| Mutex::new(Encoder::new(state.config.wire))).collect();
        Ok(Self { shards, state, outstanding: Outstanding::default(), encoders })
    }

    /// Which worker it speaks for.
    pub fn worker(&self) -> WorkerId {
        self.state.config.worker
    }

    /// Number of servers.
    pub fn shards(&self) -> u32 {
        self.shards.len() as u32
    }

    /// What was sent and received so far.
    pub fn traffic(&self) -> &Traffic {
        &self.state.traffic
    }

    /// Creates every shard from these start weights, or checks that it holds the same model.
    ///
    /// # Errors
    /// A server holds another model, or is away for too long.
    pub async fn init(&self, spec: &ModelSpec, start: impl Into<Vec<f32>>) -> Result<(), Error> {
        self.init_with(spec, start.into(), false).await
    }

    /// Checks that the servers hold this model, if they hold one: what a checkpoint brought may be another.
    ///
    /// # Errors
    /// They hold another, or the first one is away for too long.
    pub async fn check_model(&self, spec: &ModelSpec) -> Result<(), Error> {
        match self.shards.first() {
            Some(shard) => shard.check_model(spec).await,
            None => Ok(()),
        }
    }

    /// Creates every shard from these start weights, or takes the model that it holds, whatever
    /// its start was.
    ///
    /// # Errors
    /// A server holds another model, or is away for too long.
    pub async fn init_or_join(
        &self,
        spec: &ModelSpec,
        start: impl Into<Vec<f32>>,
    ) -> Result<(), Error> {
        self.init_with(spec, start.into(), true).await
    }

    async fn init_with(
        &self,
        spec: &ModelSpec,
        start: Vec<f32>,
        any_start: bool,
    ) -> Result<(), Error> {
        let partition = spec.partition();
        let start = Floats::new(start, None).into_bytes();
        let calls = self.shards.iter().zip(0_u32..).map(|(client, shard)| {
            let range = partition.range(shard);
            let part = start.slice(range.start * ELEMENT_BYTES..range.end * ELEMENT_BYTES);
            client.init(spec, part, any_start)
        });
        try_join_all(calls).await.map(|_| ())
    }

    /// The weights for this step, as soon as the servers' gates open for it.
    ///
    /// A joiner's clock is lifted to the others': `weights.clock()` says for which step they are.
    ///
    /// # Errors
    /// The worker was superseded, or a server is away for too long.
    pub async fn pull(&self, clock: Clock, weights: &mut Weights) -> Result<(), Error> {
        self.pull_for_steps(clock, 0, weights).await
    }

    /// The weights for this step and so many after it, as soon as the servers' gates open for the
    /// last of them; `ahead` must not be more than the staleness bound.
    ///
    /// # Errors
    /// As [`Client::pull`].
    pub async fn pull_for_steps(
        &self,
        clock: Clock,
        ahead: u32,
        weights: &mut Weights,
    ) -> Result<(), Error> {
        let mut clock = clock;
        loop {
            let parts = self.shards.iter().zip(weights.parts());
            let step = Some(Step { clock, finished: self.outstanding.finished(clock), ahead });
            let encoding = self.state.config.wire.pull;
            let pulls = parts.map(|(shard, part)| shard.pull(step, encoding, part));
            let lifted = try_join_all(pulls).await?.into_iter().max().unwrap_or(clock);
            weights.set_clock(clock.max(lifted));
            if lifted <= clock {
                return Ok(());
            }
            // Lifted: what was pulled was not gated for this step. Ask again for it.
            clock = lifted;
        }
    }

    /// The weights as they are, for a reader that no gate holds; always f32.
    ///
    /// # Errors
    /// A server is away for too long.
    pub async fn read(&self, weights: &mut Weights) -> Result<(), Error> {
        let parts = self.shards.iter().zip(weights.parts());
        try_join_all(parts.map(|(shard, part)| shard.pull(None, Encoding::F32, part)))
            .await
            .map(|_| ())
    }

    /// Without a master: tells every shard that this worker lives, or that it leaves. Best effort.
    pub async fn alive(&self, leaving: bool) -> bool {
        let answers = join_all(self.shards.iter().map(|shard| shard.alive(leaving))).await;
        answers.contains(&true)
    }

    /// Asks every server what it is and holds.
    ///
    /// # Errors
    /// A server is of another job, or away for too long.
    pub async fn describe(&self) -> Result<Vec<v1::DescribeReply>, Error> {
        try_join_all(self.shards.iter().map(ShardClient::describe)).await
    }

    /// Whether pushes leave before their gradients are complete: not where what an encoding leaves out
    /// is only known when all of it is, nor where computing takes longer than a server waits.
    pub fn sends_early(&self) -> bool {
        self.state.sends_early.load(Ordering::Relaxed)
    }

    /// What a shard gets of a gradient.
    fn chunks(
        &self,
        gradient: &Gradient,
        weights: &Weights,
        shard: u32,
        kind: TensorKind,
    ) -> PushChunks {
        let plan = plan(gradient, weights, shard, kind);
        let wire = self.state.config.wire;
        if kind == TensorKind::State || !wire.has_feedback() {
            let encoding = if kind == TensorKind::State { Encoding::F32 } else { wire.push };
            return PushChunks::Unencoded(gradient.clone(), plan.into(), encoding);
        }
        let encoder = self.encoders[shard as usize].lock();
        let mut encoder = encoder.unwrap_or_else(|poisoned| poisoned.into_inner());
        PushChunks::Encoded(encoder.payloads(gradient, &plan, weights.range(shard)))
    }

    /// The newest epoch that it was told of.
    pub fn epoch(&self) -> Epoch {
        self.state.epoch()
    }
}
