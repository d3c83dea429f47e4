//! Reads the model from the shards; no gate holds the master, and by then nobody pushes.

use crate::cluster::Cluster;
use ps_core::limits::MESSAGE_BYTES_MAX;
use ps_core::model_spec::ModelSpec;
use ps_core::report::ServerReport;
use ps_kernels::encoding::Encoding;
use ps_proto::bulk::{self, BulkReader};
use ps_proto::v1::data_plane_client::DataPlaneClient;
use ps_proto::{PROTOCOL, v1};
use ps_runtime::bulk::call;
use ps_runtime::link::{Link, Patience};
use ps_runtime::progress::Progress;
use ps_runtime::pull::{self, PartMut};
use std::collections::BTreeMap;
use std::time::Duration;
use tonic::transport::Channel;

/// A shard answers the question what it holds at once.
const DESCRIBE: Patience =
    Patience { attempt: Duration::from_secs(2), total: Duration::from_secs(6) };

/// A shard may be gigabytes: while it is sent, a pull may take any time. Less for an attempt than for all, so
/// that another connection is tried.
const PULL: Patience = Patience { attempt: Duration::from_secs(3), total: Duration::from_secs(6) };

/// What the servers say that they hold.
pub(crate) struct Described {
    pub(crate) spec: ModelSpec,
    pub(crate) servers: BTreeMap<u32, ServerReport>,
}

impl Described {
    /// Whether any push has changed the weights since the servers started.
    pub(crate) fn is_trained(&self) -> bool {
        self.servers.values().any(|server| server.pushes_applied > 0)
    }
}

/// Why the model cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("reading the weights of shard {shard} at {address}: {message}")]
    Shard { shard: u32, address: String, message: String },
    #[error("the servers hold no model")]
    NoModel,
}

impl Cluster {
    /// Asks every shard what it holds.
    pub(crate) async fn describe_all(&self) -> Result<Described, Error> {
        let described = self.on_all(|shard, link| self.describe(shard, link)).await?;
        let (spec, servers) = self.check_held(described)?;
        Ok(Described { spec, servers })
    }

    /// Reads a shard's weights into this memory.
    pub(crate) async fn read_shard(
        &self,
        spec: &ModelSpec,
        shard: u32,
        weights: &mut Vec<f32>,
    ) -> Result<(), Error> {
        let link = self.links.get(shard as usize).ok_or(Error::NoModel)?;
        let (partition, range) = (spec.partition(), spec.partition().range(shard));
        weights.resize(range.len(), 0.0);
        let chunks = partition.chunks(shard);
        let mut versions = vec![0; chunks.len()];
        let part = PartMut {
            values: weights,
            start: range.start,
            first: partition.run(shard).start,
            chunks: &chunks,
            versions: &mut versions,
            held_as: &mut None,
        };
        self.pull(shard, link, part).await
    }

    /// The model as the first shard holds it.
    pub(crate) async fn spec(&self) -> Result<ModelSpec, Error> {
        let link = self.links.first().ok_or(Error::NoModel)?;
        let held = self.describe(0, link).await?.model.ok_or(Error::NoModel)?;
        ModelSpec::try_from(held).map_err(|refused| error(0, link, refused.to_string()))
    }

    /// The model that all shards hold, and what each of them counted.
    fn check_held(
        &self,
        described: Vec<v1::DescribeReply>,
    ) -> Result<(ModelSpec, BTreeMap<u32, ServerReport>), Error> {
        let mut servers = BTreeMap::new();
        let mut spec: Option<ModelSpec> = None;
        for (shard, (link, reply)) in (0..).zip(self.links.iter().zip(described)) {
            let failed = |message: String| error(shard, link, message);
            let steps = reply.workers.iter().map(|count| (count.worker, count.steps)).collect();
            let report = server_report(link.address(), reply.counters);
            servers.insert(shard, ServerReport { worker_steps: steps, ..report });
            let held = reply.model.ok_or(Error::NoModel)?;
            let held = ModelSpec::try_from(held).map_err(|error| failed(error.to_string()))?;
            let (cut, count) = (held.shards, self.links.len());
            if cut as usize != count {
                let message = format!("its model is cut over {cut} servers, the job has {count}");
                return Err(failed(message));
            }
            let first = spec.get_or_insert_with(|| held.clone());
            if let Some(difference) = held.difference(first) {
                return Err(failed(format!("it holds another model than shard 0: {difference}")));
            }
        }
        Ok((spec.ok_or(Error::NoModel)?, servers))
    }

    async fn describe(&self, shard: u32, link: &Link) -> Result<v1::DescribeReply, Error> {
        let attempt = |channel| {
            let request = v1::DescribeRequest { job: self.job.clone(), protocol: PROTOCOL };
            async move { Ok(client(channel).describe(request).await?.into_inner()) }
        };
        let reply = link.call(DESCRIBE, attempt, |_| ()).await;
        let reply = reply.map_err(|status| error(shard, link, status.message()))?;
        if reply.shard != shard {
            return Err(error(shard, link, format!("it holds shard {} instead", reply.shard)));
        }
        Ok(reply)
    }

    /// Fills a shard's part of the weights.
    async fn pull(&self, shard: u32, link: &Link, part: PartMut<'_>) -> Result<(), Error> {
        let (part, progress) = (tokio::sync::Mutex::new(part), Progress::default());
        let attempt = |channel| {
            let request = v1::PullRequest {
                job: self.job.clone(),
                shard,
                epoch: self.epoch,
                puller: None,
                encoding: v1::Encoding::F32.into(),
                protocol: PROTOCOL,
                has_start: false,
            };
            let (part, progress) = (&part, &progress);
            async move {
                let messages = call(channel, bulk::PULL, [request], progress).await?;
                let mut messages = BulkReader::new(messages);
                pull::header(&mut messages, progress).await?;
                let part = &mut *part.lock().await;
                pull::values(&mut messages, part, Encoding::F32, progress, |_| (), |_| ()).await
            }
        };
        let pulled = link.call_while(&progress, PULL, attempt, |_| ()).await;
        pulled.map_err(|status| error(shard, link, status.message()))
    }
}

fn error(shard: u32, link: &Link, message: impl Into<String>) -> Error {
    Error::Shard { shard, address: link.address().to_owned(), message: message.into() }
}

fn server_report(address: &str, counters: Option<v1::ShardCounters>) -> ServerReport {
    let counters = counters.unwrap_or_default();
    ServerReport {
        address: address.to_owned(),
        weight_bytes: counters.weight_bytes,
        pushes_applied: counters.pushes_applied,
        pushes_duplicate: counters.pushes_duplicate,
        pushes_torn: counters.pushes_torn,
        chunks_applied: counters.chunks_applied,
        chunks_refused: counters.chunks_refused,
        calls_fenced: counters.calls_fenced,
        bytes_received: counters.bytes_received,
        bytes_sent: counters.bytes_sent,
        worker_steps: BTreeMap::new(),
    }
}

fn client(channel: Channel) -> DataPlaneClient<Channel> {
    DataPlaneClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}
