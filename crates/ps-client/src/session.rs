//! A worker's session with the servers, whoever said where they are.

use crate::client::Client;
use crate::config::ClientConfig;
use crate::counters::{Counters, Waiting};
use crate::discover::discover;
use crate::error::Error;
use crate::gradient::Gradient;
use crate::heartbeat::{HeartbeatConfig, heartbeat};
use crate::membership::Membership;
use crate::pipeline::Pipeline;
use crate::report::PushReport;
use crate::shard_map::ShardMapWatch;
use crate::weights::Weights;
use ps_core::Layout;
use ps_core::ids::{Clock, Epoch, Incarnation, WorkerId};
use ps_core::model_spec::ModelSpec;
use ps_core::settings::{TrainingSettings, Wire};
use ps_proto::v1;
use ps_runtime::Outside;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// After so many leases the master has noticed that a server is silent, and the member has heard of it.
const NOTICED_LEASES: u32 = 2;

/// How a session calls the servers.
#[derive(Clone, Copy, Debug)]
pub struct CallOptions {
    /// How long one attempt of a call may take.
    pub attempt: Duration,
    /// How long a server may be away, unless a master says that it waits for it.
    pub patience: Duration,
    /// How gradients travel, and weights that are pulled for a step.
    pub wire: Wire,
}

/// How long one attempt of a call may take in a training loop of somebody's own.
const ATTEMPT_LONGEST: Duration = Duration::from_secs(10);

impl CallOptions {
    /// For a training loop of somebody's own, which waits so long for a server.
    pub fn of_a_loop(patience: Duration, wire: Wire) -> Self {
        Self { attempt: patience.min(ATTEMPT_LONGEST), patience, wire }
    }
}

/// What a session without a master is told.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The job it belongs to.
    pub job: String,
    /// The worker's rank.
    pub worker: WorkerId,
    /// The worker's incarnation and the epoch, where another process speaks to a master for this one;
    /// `None` without a master.
    pub identity: Option<(Incarnation, Epoch)>,
    /// The servers, in any order.
    pub servers: Vec<String>,
    /// How they are called.
    pub calls: CallOptions,
    /// How often they hear that the worker lives.
    pub heartbeat: HeartbeatConfig,
}

/// A worker's session with the servers.
pub struct Session {
    client: Arc<Client>,
    counters: Arc<Counters>,
    outside: Outside,
    /// Elements of a chunk, where the servers held a model already.
    chunk_elements: Option<u32>,
    /// Without a master: what the servers are to hear once they have the model.
    heartbeat_config: Option<HeartbeatConfig>,
    heartbeat: JoinSet<()>,
}

impl Session {
    /// A session without a master: finds out which server holds which shard.
    ///
    /// # Errors
    /// A server is away for too long or of another job; two hold the same shard, or one is missing.
    pub async fn discover(
        config: SessionConfig,
        counters: Arc<Counters>,
        outside: Outside,
    ) -> Result<Self, Error> {
        let SessionConfig { job, worker, identity, servers, calls, heartbeat } = config;
        let (incarnation, epoch) = identity.unwrap_or_else(|| (outside.clock.unix_ms(), 0));
        let unordered = ShardMapWatch::fixed_in(epoch, servers);
        let mut config = client_config(job, worker, incarnation, unordered, calls);
        let (addresses, chunk_elements) = discover(&config, &outside).await?;
        config.shard_map = ShardMapWatch::fixed_in(epoch, addresses);
        Self::new(config, counters, outside, chunk_elements, Some(heartbeat))
    }

    /// A member's session, once the master has said where the shards are; what it says of them later is
    /// followed. It hears that the worker lives.
    ///
    /// How long a server that is away is waited for, the master says. Where it does not say that one is, a
    /// call that gets no answer is given up, but not before the master had the time to notice.
    ///
    /// # Errors
    /// An address is not `host:port`.
    pub async fn of_member(membership: &Membership, calls: CallOptions) -> Result<Self, Error> {
        let member = membership.member();
        let v1::RegisterReply { index, incarnation, .. } = *member.registered();
        let patience = calls.patience.max(member.lease() * NOTICED_LEASES);
        let (job, counters) = (membership.job.clone(), membership.counters.clone());
        let shard_map = membership.shard_map();
        let chunk_elements = shard_map.known().await.chunk_elements;
        let calls = CallOptions { patience, ..calls };
        let config = client_config(job, index, incarnation, shard_map, calls);
        Self::new(config, counters, membership.outside.clone(), chunk_elements, None)
    }

    /// A session without a master, with the model on the servers, created from this start or taken as they hold it; and its
    /// weights.
    ///
    /// # Errors
    /// As [`Self::discover`]; or they hold another model.
    pub async fn join(
        config: SessionConfig,
        (settings, layout): (&TrainingSettings, &Layout),
        start: &[f32],
        outside: Outside,
    ) -> Result<(Self, Weights), Error> {
        let mut session = Self::discover(config, Arc::new(Counters::default()), outside).await?;
        let spec = session.model_spec(settings, layout);
        session.init_or_join(&spec, start).await?;
        let mut weights = Weights::new(&spec);
        session.pull(0, 0, &mut weights).await?;
        Ok((session, weights))
    }

    fn new(
        config: ClientConfig,
        counters: Arc<Counters>,
        outside: Outside,
        chunk_elements: Option<u32>,
        heartbeat_config: Option<HeartbeatConfig>,
    ) -> Result<Self, Error> {
        let client = Arc::new(Client::new(config, &outside)?);
        let heartbeat = JoinSet::new();
        Ok(Self { client, counters, outside, chunk_elements, heartbeat_config, heartbeat })
    }

    /// The connection to the servers.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// A model as the servers hold it, or will when it is initialised.
    pub fn model_spec(&self, settings: &TrainingSettings, layout: &Layout) -> ModelSpec {
        settings.model_spec(layout, self.client.shards()).on_grid(self.chunk_elements)
    }

    /// What the worker counts.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// The time, of the clock that the session was given.
    pub fn now(&self) -> Duration {
        self.outside.clock.now()
    }

    /// Creates the model on the servers, or checks that they hold the same.
    ///
    /// # Errors
    /// A server holds another model, or is away for too long.
    pub async fn init(&mut self, spec: &ModelSpec, start: Vec<f32>) -> Result<(), Error> {
        self.client.init(spec, start).await?;
        self.start_heartbeat();
        Ok(())
    }

    /// Creates the model on the servers, or takes the one that they hold, whatever its start was.
    ///
    /// # Errors
    /// A server holds another model, or is away for too long.
    pub async fn init_or_join(&mut self, spec: &ModelSpec, start: &[f32]) -> Result<(), Error> {
        self.client.init_or_join(spec, start).await?;
        self.start_heartbeat();
        Ok(())
    }

    fn start_heartbeat(&mut self) {
        if let Some(config) = self.heartbeat_config {
            let (client, counters) = (self.client.clone(), self.counters.clone());
            self.heartbeat.spawn(heartbeat(client, counters, self.outside.clock.clone(), config));
        }
    }

    /// The weights for this step and so many after it; see [`Client::pull_for_steps`].
    ///
    /// # Errors
    /// The worker was superseded, or a server is away for too long.
    pub async fn pull(&self, clock: Clock, ahead: u32, weights: &mut Weights) -> Result<(), Error> {
        let _waiting = Waiting::new(&self.counters);
        self.client.pull_for_steps(clock, ahead, weights).await
    }

    /// Pushes the gradient of these samples, which was computed from these weights, and pulls those
    /// for the next step.
    ///
    /// # Errors
    /// The worker was superseded, or a server is away for too long.
    pub async fn push_pull(
        &self,
        gradient: &Gradient,
        samples: u64,
        learning_rate: f32,
        weights: &mut Weights,
    ) -> Result<PushReport, Error> {
        let _waiting = Waiting::new(&self.counters);
        let report = self.client.push_pull(gradient, learning_rate, weights).await?;
        self.counters.stepped(samples, f64::from(gradient.loss()), weights.clock(), &report);
        Ok(report)
    }

    /// Exchanges that go on while the worker computes; see [`Pipeline::new`].
    pub fn pipeline(&self, depth: u32, is_spawned: bool) -> Pipeline {
        Pipeline::new(self.client.clone(), self.counters.clone(), depth, is_spawned)
    }

    /// Without a master: tells the servers that the worker leaves, so that nobody waits for it.
    pub async fn leave(&mut self) {
        if self.heartbeat_config.take().is_some() {
            self.heartbeat.shutdown().await;
            self.client.alive(true).await;
        }
    }

    /// Without a master: leaves, if it has not yet, and says whether other workers are at work still.
    pub async fn leave_others(&mut self) -> bool {
        self.leave().await;
        self.client.alive(true).await
    }
}

fn client_config(
    job: String,
    worker: WorkerId,
    incarnation: Incarnation,
    shard_map: ShardMapWatch,
    calls: CallOptions,
) -> ClientConfig {
    let CallOptions { attempt, patience, wire } = calls;
    ClientConfig { job, worker, incarnation, shard_map, patience, attempt, wire }
}
