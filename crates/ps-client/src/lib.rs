//! The worker's side of the data plane: push, pull and push_pull over all shards, exactly once.
//!
//! Knows no candle and no model: weights and gradients are flat vectors in layout order.

mod alive;
pub mod buffers;
mod clip;
mod counters;
mod discover;
mod encoder;
mod error;
mod gradient;
mod outstanding;
pub mod pipeline;
pub mod place;
mod planned;
mod push;
mod retry;
mod shard;
mod small;
mod spare;
mod weights;

pub use alive::{Pulse, stay_alive};
pub use counters::Counters;
pub use discover::discover;
pub use error::Error;
pub use gradient::Gradient;
pub use push::{NumberedPush, PushReport};
pub use spare::Spare;
pub use weights::Weights;

use encoder::Encoder;
use futures_util::future::{join_all, try_join_all};
use outstanding::Outstanding;
use planned::{Chunks, Kind, plan};
use ps_core::ids::{Clock, Epoch, Incarnation, WorkerId};
use ps_core::model_spec::ModelSpec;
use ps_core::settings::Wire;
use ps_kernels::encoding::Encoding;
use ps_proto::convert::data::ELEMENT_BYTES;
use ps_runtime::Outside;
use shard::{ShardClient, Step};
use spare::Floats;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Who a client speaks for, and with whom.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The job.
    pub job: String,
    /// The worker's rank.
    pub worker: WorkerId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The epoch it begins in.
    pub epoch: Epoch,
    /// Address of shard i at position i.
    pub addresses: Vec<String>,
    /// How long a server may be away.
    pub patience: Duration,
    /// How long one attempt may take before it is made again.
    pub attempt: Duration,
    /// How gradients travel, and weights that are pulled for a step.
    pub wire: Wire,
}

/// What a client counted.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Payload bytes sent, retries included.
    pub bytes_pushed: AtomicU64,
    /// Payload bytes received.
    pub bytes_pulled: AtomicU64,
    /// Attempts that had to be made again.
    pub retries: AtomicU64,
}

/// What all shard clients of one client share.
struct Shared {
    config: ClientConfig,
    epoch: AtomicU64,
    traffic: Traffic,
    /// Whether servers have the patience for pushes that are still computed.
    sends_early: AtomicBool,
}

/// A worker's connection to all servers.
pub struct Client {
    shared: Arc<Shared>,
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
        let shared = Arc::new(Shared {
            epoch: AtomicU64::new(config.epoch),
            traffic: Traffic::default(),
            sends_early: AtomicBool::new(!config.wire.has_feedback()),
            config,
        });
        let addresses = shared.config.addresses.iter().zip(0_u32..);
        let shards: Result<Vec<_>, _> = addresses
            .map(|(address, shard)| ShardClient::new(shard, address, shared.clone(), outside))
            .collect();
        let shards = shards?;
        let encoder = |_: &_| Mutex::new(Encoder::new(shared.config.wire));
        let encoders = shards.iter().map(encoder).collect();
        Ok(Self { shards, shared, outstanding: Outstanding::default(), encoders })
    }

    /// Which worker it speaks for.
    pub fn worker(&self) -> WorkerId {
        self.shared.config.worker
    }

    /// Number of servers.
    pub fn shards(&self) -> u32 {
        self.shards.len() as u32
    }

    /// What was sent and received so far.
    pub fn traffic(&self) -> &Traffic {
        &self.shared.traffic
    }

    /// Creates every shard from these start weights, or checks that it holds the same model.
    ///
    /// # Errors
    /// A server holds another model, or is away for too long.
    pub async fn init(&self, spec: &ModelSpec, start: &[f32]) -> Result<(), Error> {
        self.init_owned(spec, start.to_vec()).await
    }

    /// The same without a copy.
    ///
    /// # Errors
    /// A server holds another model, or is away for too long.
    pub async fn init_owned(&self, spec: &ModelSpec, start: Vec<f32>) -> Result<(), Error> {
        self.init_with(spec, start, false).await
    }

    /// Creates every shard from these start weights, or takes the model that it holds, whatever
    /// its start was.
    ///
    /// # Errors
    /// A server holds another model, or is away for too long.
    pub async fn init_or_join(&self, spec: &ModelSpec, start: &[f32]) -> Result<(), Error> {
        self.init_with(spec, start.to_vec(), true).await
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
            let encoding = self.shared.config.wire.pull;
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
    pub async fn alive(&self, leaving: bool) {
        join_all(self.shards.iter().map(|shard| shard.alive(leaving))).await;
    }

    /// Asks every server what it is and holds.
    ///
    /// # Errors
    /// A server is of another job, or away for too long.
    pub async fn describe(&self) -> Result<Vec<ps_proto::v1::DescribeReply>, Error> {
        try_join_all(self.shards.iter().map(ShardClient::describe)).await
    }

    /// Whether pushes leave before their gradients are complete: not where what an encoding leaves out
    /// is only known when all of it is, nor where computing takes longer than a server waits.
    pub fn sends_early(&self) -> bool {
        self.shared.sends_early.load(Ordering::Relaxed)
    }

    /// What a shard gets of a gradient.
    fn chunks(&self, gradient: &Gradient, weights: &Weights, shard: u32, kind: Kind) -> Chunks {
        let planned = plan(gradient, weights, shard, kind);
        if kind == Kind::State {
            return Chunks::Lying(gradient.clone(), planned.into(), Encoding::F32);
        }
        if !self.shared.config.wire.has_feedback() {
            return Chunks::Lying(gradient.clone(), planned.into(), self.shared.config.wire.push);
        }
        let encoder = self.encoders[shard as usize].lock();
        let mut encoder = encoder.unwrap_or_else(|poisoned| poisoned.into_inner());
        Chunks::encode(&mut encoder, gradient, &planned, weights.range(shard))
    }

    /// The epoch as the servers last told it.
    pub fn epoch(&self) -> Epoch {
        self.shared.epoch.load(Ordering::Relaxed)
    }
}
