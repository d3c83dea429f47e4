//! One real server on a loopback port of this process, and bare calls to it.

use bytes::Bytes;
use ps_client::{Client, ClientConfig, ShardMapWatch};
use ps_core::correction::Correction;
use ps_core::limits::CHUNK_ELEMENTS_MAX;
use ps_core::model_spec::ModelSpec;
use ps_core::settings::Wire;
use ps_core::shard::Guards;
use ps_core::{Layout, TensorSpec};
use ps_kernels::optimizer::Optimizer;
use ps_proto::v1::data_plane_client::DataPlaneClient;
use ps_proto::v1::shard_control_client::ShardControlClient;
use ps_proto::{PROTOCOL, v1};
use ps_runtime::files::Files;
use ps_runtime::shutdown::ShutdownTrigger;
use ps_runtime::{Connector, Lanes, Outside, Shutdown, SystemClock, transport};
use ps_server::config::{Bounds, Config};
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;
use tonic::transport::Channel;

/// The job of every server here.
pub const JOB: &str = "loopback";

/// A server without a master; one of this process is gone when this is dropped.
pub struct Server {
    /// `host:port`.
    pub address: String,
    _own: Option<Own>,
}

struct Own {
    _trigger: ShutdownTrigger,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Own {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a process gets from outside.
pub fn outside() -> Outside {
    let metrics = Arc::new(|_: &str| ());
    Outside { connector: Connector::tcp(), clock: SystemClock::start(), seed: 1, metrics }
}

impl Server {
    /// Starts the server of this shard.
    pub async fn start(shard: u32) -> anyhow::Result<Self> {
        Self::start_with(shard, None).await
    }

    /// Starts the server of this shard with bounds of its own.
    pub async fn start_bounded(shard: u32, bounds: Bounds) -> anyhow::Result<Self> {
        Self::start_as(shard, None, bounds).await
    }

    /// Starts the server of this shard with a place for its checkpoints.
    pub async fn start_with(shard: u32, checkpoints: Option<Files>) -> anyhow::Result<Self> {
        // So that pushes wait for a cut of a small shard, too.
        let bounds = Bounds { cut_memory_bytes_min: 0, ..Bounds::default() };
        Self::start_as(shard, checkpoints, bounds).await
    }

    async fn start_as(
        shard: u32,
        checkpoints: Option<Files>,
        bounds: Bounds,
    ) -> anyhow::Result<Self> {
        let (incoming, address) = transport::listen("127.0.0.1:0").await?;
        let address = address.to_string();
        let config = config(shard, bounds);
        let (trigger, shutdown) = Shutdown::new();
        let served = address.clone();
        let task = tokio::spawn(async move {
            let outside = outside();
            let served = ps_server::serve::run(
                config,
                incoming,
                Lanes::per_core(),
                served,
                outside,
                shutdown,
                ps_server::serve::ServerFiles { checkpoints, journal: None },
            );
            let _ = served.await;
        });
        Ok(Self { address, _own: Some(Own { _trigger: trigger, task }) })
    }

    /// A server of another process.
    pub fn at(address: &str) -> Self {
        Self { address: address.to_owned(), _own: None }
    }

    /// A connection of its own.
    pub fn channel(&self) -> Channel {
        Connector::tcp().channel(&self.address).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Worker 0's client.
    pub fn client(&self, incarnation: u64, wire: Wire) -> Client {
        let config = client_config(&self.address, incarnation, wire);
        Client::new(config, &outside()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The data plane.
    pub fn data(&self) -> DataPlaneClient<Channel> {
        DataPlaneClient::new(self.channel())
    }

    /// What a master calls.
    pub fn control(&self) -> ShardControlClient<Channel> {
        ShardControlClient::new(self.channel())
    }

    /// Creates [`model`] with zeros.
    pub async fn init(&self) -> Result<(), Status> {
        self.init_model(&model()).await
    }

    /// Creates a model on this server of shard 0 with zeros.
    pub async fn init_model(&self, model: &ModelSpec) -> Result<(), Status> {
        let header = v1::InitHeader {
            job: JOB.into(),
            protocol: PROTOCOL,
            model: Some(model.into()),
            start_digest: crc32fast::hash(&vec![0; model.partition().range(0).len() * 4]),
            ..v1::InitHeader::default()
        };
        let chunks = (0..).zip(model.partition().chunks(0)).map(|(index, range)| {
            let values = bytes(&vec![0.0; range.len()]);
            v1::ChunkPayload { index, values, ..Default::default() }
        });
        let chunks = chunks.collect();
        self.send_start(header, chunks).await.map(|_| ())
    }

    /// Sends a start, header first; whether it created the shard.
    pub async fn send_start(
        &self,
        header: v1::InitHeader,
        chunks: Vec<v1::ChunkPayload>,
    ) -> Result<bool, Status> {
        let first = v1::InitMessage { header: Some(header), chunks: Vec::new() };
        let message = |chunk| v1::InitMessage { header: None, chunks: vec![chunk] };
        let messages = std::iter::once(first).chain(chunks.into_iter().map(message));
        let messages = tokio_stream::iter(messages.collect::<Vec<_>>());
        let mut replies = self.data().init(messages).await?.into_inner();
        let mut last = None;
        while let Some(reply) = replies.message().await? {
            last = Some(reply);
        }
        last.map(|reply| reply.created).ok_or_else(|| Status::internal("no answer to a start"))
    }

    /// Pushes these messages.
    pub async fn push(&self, messages: Vec<v1::PushMessage>) -> Result<v1::PushReply, Status> {
        Ok(self.data().push(tokio_stream::iter(messages)).await?.into_inner())
    }

    /// The weights as they are.
    pub async fn weights(&self) -> Result<Vec<f32>, Status> {
        let request = v1::PullRequest {
            job: JOB.into(),
            protocol: PROTOCOL,
            encoding: v1::Encoding::F32.into(),
            ..v1::PullRequest::default()
        };
        let mut messages = self.data().pull(request).await?.into_inner();
        let mut weights = Vec::new();
        while let Some(message) = messages.message().await? {
            for chunk in message.chunks {
                let values = chunk.values.chunks_exact(4);
                weights.extend(values.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
            }
        }
        Ok(weights)
    }
}

/// The configuration of a server without a master.
pub fn config(shard: u32, bounds: Bounds) -> Config {
    Config {
        job: JOB.into(),
        shard,
        listen: String::new(),
        advertise: None,
        master: None,
        goes_back: false,
        lease: Duration::from_secs(10),
        bounds,
        serve_after_signal: ps_core::stop::StopTimes::default().left,
        journal: ps_server::WriterSettings::default(),
        guards: Guards::ALL,
    }
}

/// The configuration of worker 0's client of one server.
pub fn client_config(address: &str, incarnation: u64, wire: Wire) -> ClientConfig {
    ClientConfig {
        job: JOB.into(),
        worker: 0,
        incarnation,
        shard_map: ShardMapWatch::fixed([address]),
        patience: Duration::from_secs(5),
        attempt: Duration::from_secs(5),
        wire,
    }
}

/// A model of two tensors, `a` of 3 and `b` of 2 elements, with plain SGD.
pub fn model() -> ModelSpec {
    model_of(vec![TensorSpec::trainable("a", [3]), TensorSpec::trainable("b", [2])])
}

/// A model of these tensors, with plain SGD.
pub fn model_of(tensors: Vec<TensorSpec>) -> ModelSpec {
    ModelSpec {
        layout: Layout::new(tensors).unwrap_or_else(|error| panic!("{error}")),
        optimizer: Optimizer::parse("sgd", None, None).unwrap_or_else(|error| panic!("{error}")),
        rules: Vec::new(),
        correction: Correction::Auto,
        bound: None,
        chunk_elements: CHUNK_ELEMENTS_MAX as u32,
        shards: 1,
    }
}

/// A push of the whole model by worker 0 in incarnation 5, at rate 1.
pub fn push(seq: u64, gradient: &[f32]) -> v1::PushMessage {
    let header = v1::PushHeader {
        job: JOB.into(),
        protocol: PROTOCOL,
        id: Some(v1::PushId { worker: 0, incarnation: 5, seq }),
        oldest_unacknowledged_seq: seq,
        clock: seq,
        learning_rate: 1.0,
        kind: v1::TensorKind::Trainable.into(),
        chunks_total: 1,
        encoding: v1::Encoding::F32.into(),
        ..v1::PushHeader::default()
    };
    let chunks = vec![v1::ChunkPayload { values: bytes(gradient), ..Default::default() }];
    v1::PushMessage { header: Some(header), chunks }
}

/// Floats as the wire carries them.
pub fn bytes(values: &[f32]) -> Bytes {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
