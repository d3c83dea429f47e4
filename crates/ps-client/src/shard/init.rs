//! The start of one shard: its weights, once the server wants them.

use super::{ShardClient, grouped};
use crate::error::Error;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use ps_core::model_spec::ModelSpec;
use ps_proto::bulk::{self, MessageReader};
use ps_proto::convert::data::{ChunkPayload, ELEMENT_BYTES};
use ps_proto::{PROTOCOL, v1};
use ps_runtime::bulk::flow;
use ps_runtime::progress::Progress;
use tokio::sync::oneshot;
use tonic::Status;
use tonic::transport::Channel;

impl ShardClient {
    /// Creates the shard from these bytes of its weights, or checks that it holds the same model.
    pub(crate) async fn init(
        &self,
        spec: &ModelSpec,
        bytes: Bytes,
        any_start: bool,
    ) -> Result<(), Error> {
        let payloads = self.start(spec, &bytes);
        let start_digest = crc32fast::hash(&bytes);
        let progress = Progress::default();
        let attempt = |channel: Channel| {
            let header = v1::InitHeader {
                job: self.state.config.job.clone(),
                epoch: self.state.epoch(),
                shard: self.shard,
                model: Some(spec.into()),
                start_digest,
                any_start,
                protocol: PROTOCOL,
                worker: self.state.config.worker,
                incarnation: self.state.config.incarnation,
            };
            let (payloads, progress) = (&payloads, &progress);
            async move {
                let mut state = v1::InitState::Again;
                while state == v1::InitState::Again {
                    let (wanted, asked) = oneshot::channel();
                    let header = header.clone();
                    let messages = messages(header, payloads.clone(), asked);
                    let replies = flow(channel.clone(), bulk::INIT, messages, progress).await?;
                    state = answered(replies, wanted, progress).await?;
                }
                Ok(())
            }
        };
        self.retry(&progress, attempt).await
    }

    /// The shard's chunks, each by itself.
    fn start(&self, spec: &ModelSpec, bytes: &Bytes) -> Vec<ChunkPayload> {
        let partition = spec.partition();
        let first = partition.range(self.shard).start;
        let offset = |element: usize| (element - first) * ELEMENT_BYTES;
        let chunks = partition.run(self.shard).zip(partition.chunks(self.shard));
        let payload = |(index, range): (u32, std::ops::Range<usize>)| {
            let values = bytes.slice(offset(range.start)..offset(range.end));
            ChunkPayload { index, chunks: 1, values, ..ChunkPayload::default() }
        };
        chunks.map(payload).collect()
    }
}

/// The header, and the weights when they are asked for; each message is made when the ones before are
/// taken.
fn messages(
    header: v1::InitHeader,
    payloads: Vec<ChunkPayload>,
    asked: oneshot::Receiver<()>,
) -> impl Stream<Item = v1::InitMessage> + Send + 'static {
    let first = v1::InitMessage { header: Some(header), chunks: Vec::new() };
    let weights = |chunks| v1::InitMessage { header: None, chunks };
    // Never asked for, they are not sent.
    let weights = async move {
        let asked = asked.await.is_ok();
        let payloads = if asked { payloads } else { Vec::new() };
        stream::iter(grouped(payloads.into_iter()).map(weights))
    };
    stream::once(std::future::ready(first)).chain(stream::once(weights).flatten())
}

/// Lets the weights go when the server wants them, and waits for the end: how it is.
async fn answered(
    mut replies: MessageReader,
    wanted: oneshot::Sender<()>,
    progress: &Progress,
) -> Result<v1::InitState, Status> {
    let mut wanted = Some(wanted);
    while replies.next_message().await? {
        let reply: v1::InitReply = replies.message().await?;
        progress.moved();
        match reply.state() {
            v1::InitState::Unspecified => return Ok(v1::InitState::Unspecified),
            v1::InitState::Again => {
                progress.advanced();
                return Ok(v1::InitState::Again);
            }
            v1::InitState::Waiting => progress.advanced(),
            v1::InitState::Send => {
                let _ = wanted.take().map(|wanted| wanted.send(()));
            }
        }
    }
    Err(Status::aborted("the server ended the start without saying how"))
}
