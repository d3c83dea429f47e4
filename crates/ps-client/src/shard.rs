//! The calls to one shard.

mod pull;
mod push;

pub(super) use pull::{GATE_WAIT, Step};
pub(super) use push::{PushCall, report};

use super::small::SmallPushes;
use super::{Error, Shared};
use bytes::Bytes;
use ps_core::limits::{MESSAGE_BYTES_MAX, MESSAGE_PAYLOAD_BYTES};
use ps_core::model_spec::ModelSpec;
use ps_proto::convert::data::{ChunkPayload, ELEMENT_BYTES};
use ps_proto::v1;
use ps_proto::v1::data_plane_client::DataPlaneClient;
use ps_runtime::Outside;
use ps_runtime::link::Link;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tonic::transport::Channel;

pub(super) struct ShardClient {
    pub(super) shard: u32,
    pub(super) link: Link,
    small: SmallPushes,
    pub(super) shared: Arc<Shared>,
    /// Whether people were told that this server is waited for.
    pub(super) told: AtomicBool,
}

impl ShardClient {
    pub(super) fn new(
        shard: u32,
        address: &str,
        shared: Arc<Shared>,
        outside: &Outside,
    ) -> Result<Self, Error> {
        // Shards must not retry in step with each other.
        let seed = outside.seed.wrapping_add(u64::from(shard));
        let link = Link::new(&outside.connector, address, &outside.clock, seed)?;
        let (small, told) = (SmallPushes::default(), AtomicBool::new(false));
        Ok(Self { shard, link, small, shared, told })
    }

    pub(super) async fn init(
        &self,
        spec: &ModelSpec,
        bytes: Bytes,
        any_start: bool,
    ) -> Result<(), Error> {
        let partition = spec.partition();
        let first = partition.range(self.shard).start;
        let payloads: Vec<ChunkPayload> = (0_u32..)
            .zip(partition.chunks(self.shard))
            .map(|(index, chunk)| ChunkPayload {
                index,
                spans: Vec::new(),
                values: bytes.slice(
                    (chunk.start - first) * ELEMENT_BYTES..(chunk.end - first) * ELEMENT_BYTES,
                ),
                pulled_version: 0,
                positions: Bytes::new(),
            })
            .collect();
        let start_digest = crc32fast::hash(&bytes);
        self.retry(self.shared.config.attempt * 4, |channel| {
            let header = v1::InitHeader {
                job: self.shared.config.job.clone(),
                epoch: self.epoch(),
                shard: self.shard,
                model: Some(spec.into()),
                start_digest,
                any_start,
            };
            let mut header = Some(header);
            let messages = grouped(payloads.clone().into_iter())
                .map(move |chunks| v1::InitMessage { header: header.take(), chunks });
            async move { client(channel).init(tokio_stream::iter(messages)).await.map(|_| ()) }
        })
        .await
    }

    pub(super) async fn describe(&self) -> Result<v1::DescribeReply, Error> {
        let job = &self.shared.config.job;
        self.retry(self.shared.config.attempt, |channel| {
            let request = v1::DescribeRequest { job: job.clone() };
            async move { Ok(client(channel).describe(request).await?.into_inner()) }
        })
        .await
    }

    pub(super) async fn alive(&self, leaving: bool) {
        let config = &self.shared.config;
        let request = v1::AliveRequest {
            job: config.job.clone(),
            shard: self.shard,
            worker: config.worker,
            incarnation: config.incarnation,
            leaving,
        };
        let mut client = client(self.link.channel());
        let _ = tokio::time::timeout(config.attempt, client.alive(request)).await;
    }

    pub(super) fn epoch(&self) -> u64 {
        self.shared.epoch.load(Ordering::Relaxed)
    }
}

fn client(channel: Channel) -> DataPlaneClient<Channel> {
    DataPlaneClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// Payloads grouped into messages; at least one, for the header.
fn grouped(
    mut payloads: impl Iterator<Item = ChunkPayload>,
) -> impl Iterator<Item = Vec<v1::ChunkPayload>> {
    let mut first = true;
    std::iter::from_fn(move || {
        let (mut group, mut bytes) = (Vec::new(), 0);
        while bytes < MESSAGE_PAYLOAD_BYTES {
            let Some(payload) = payloads.next() else {
                break;
            };
            bytes += payload.bytes();
            group.push(payload.into());
        }
        let again = std::mem::replace(&mut first, false) || !group.is_empty();
        again.then_some(group)
    })
}
