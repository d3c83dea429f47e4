//! The calls to one shard.

use super::planned::{Chunks, Kind};
use super::retry::Failure;
use super::small::SmallPushes;
use super::{Error, PushReport, Shared};
use bytes::Bytes;
use futures_util::StreamExt;
use ps_core::ids::{Clock, PushId, Seq};
use ps_core::limits::{MESSAGE_BYTES_MAX, MESSAGE_PAYLOAD_BYTES, SMALL_PUSH_BYTES_MAX};
use ps_core::model_spec::ModelSpec;
use ps_core::wire::Encoding;
use ps_proto::bulk::{self, BulkReader, MessageReader, Pieces};
use ps_proto::convert::data::{ELEMENT_BYTES, Payload};
use ps_proto::v1;
use ps_proto::v1::data_plane_client::DataPlaneClient;
use ps_runtime::Outside;
use ps_runtime::bulk::{call, flow};
use ps_runtime::link::Link;
use ps_runtime::pull::{self, First, PartMut, unexpected};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// A wait at the gate has no end of its own: the connection's keepalive notices a dead server, and
/// the gate a dead worker.
pub(super) const GATE_WAIT: Duration = Duration::from_secs(24 * 3600);

/// One push's part for one shard: the same on every attempt, except for the epoch.
#[derive(Clone)]
pub(super) struct PushCall {
    pub(super) id: PushId,
    pub(super) oldest: Seq,
    pub(super) clock: Clock,
    pub(super) learning_rate: f32,
    pub(super) loss: f32,
    pub(super) kind: Kind,
    pub(super) chunks: Chunks,
    /// Steps between this one and the next whose weights a pull with it brings.
    pub(super) pull_ahead: u32,
}

/// The step that a worker pulls for.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) clock: Clock,
    /// Every push of a step below it is acknowledged.
    pub(super) finished: Clock,
    /// The weights are for the steps up to so many after it.
    pub(super) ahead: u32,
}

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
        let payloads: Vec<Payload> = (0_u32..)
            .zip(partition.chunks(self.shard))
            .map(|(index, chunk)| Payload {
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

    pub(super) async fn push(&self, push: PushCall) -> Result<PushReport, Error> {
        if push.chunks.bytes() <= SMALL_PUSH_BYTES_MAX {
            push.chunks.complete().await;
            match self.in_time(async { Ok(self.push_small(&push).await) }).await {
                Ok(Some(report)) => return Ok(report),
                Ok(None) => (),
                Err(status) => {
                    self.retried(&status);
                    // A server that is silent on this connection may answer on another.
                    self.link.reconnect();
                }
            }
        } else if !push.chunks.is_complete() {
            match self.push_early(&push).await {
                Ok(report) => return Ok(report),
                Err(error) if error.is_final => {
                    return Err(Error::of(self.shard, self.link.address(), &error.status));
                }
                Err(error) => self.was_late(&push, &error.status),
            }
        }
        self.push_alone(push).await
    }

    /// A server that gave up waiting for the rest of a push would do so in every step.
    fn was_late(&self, push: &PushCall, status: &Status) {
        if status.code() == Code::DeadlineExceeded && !push.chunks.is_complete() {
            tracing::info!(
                "computing takes long: from now on gradients are sent when all is there"
            );
            self.shared.sends_early.store(false, Ordering::Relaxed);
        }
    }

    /// The first attempt of a push whose gradient is still computed.
    async fn push_early(&self, push: &PushCall) -> Result<PushReport, Failure> {
        self.once(|channel| {
            let call = self.send(channel, bulk::PUSH, push);
            let reply = async { call.await?.only_message().await };
            async { Ok(report(&self.in_time_of(push, reply).await?)) }
        })
        .await
    }

    /// Pushes on calls of its own, when all of it is there.
    async fn push_alone(&self, push: PushCall) -> Result<PushReport, Error> {
        push.chunks.complete().await;
        self.retry(self.shared.config.attempt, |channel| {
            let call = self.send(channel, bulk::PUSH, &push);
            async move { call.await?.only_message().await }
        })
        .await
        .map(|reply| report(&reply))
    }

    /// Pushes on the shared call; `None` when that failed.
    async fn push_small(&self, push: &PushCall) -> Option<PushReport> {
        let message = self.messages(push).next()?;
        self.small.push(self.link.channel(), push.id.seq, message).await
    }

    /// Bounds the wait for an answer to a push; while it is still computed, nobody owes one.
    async fn in_time_of<T>(
        &self,
        push: &PushCall,
        step: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let mut step = std::pin::pin!(step);
        tokio::select! {
            biased;
            done = &mut step => return done,
            () = push.chunks.complete() => (),
        }
        self.in_time(step).await
    }

    /// Pulls for a step, or as a reader. Returns the clock that the shard has for the worker.
    pub(super) async fn pull(
        &self,
        step: Option<Step>,
        encoding: Encoding,
        part: PartMut<'_>,
    ) -> Result<Clock, Error> {
        let config = &self.shared.config;
        let puller = step.map(|step| v1::Puller {
            worker: config.worker,
            incarnation: config.incarnation,
            clock: step.clock,
            finished_clock: step.finished,
            ahead: step.ahead,
        });
        let part = tokio::sync::Mutex::new(part);
        self.retry(GATE_WAIT, |channel| {
            let request = v1::PullRequest {
                job: config.job.clone(),
                shard: self.shard,
                epoch: self.epoch(),
                puller,
                encoding: v1::Encoding::from(encoding).into(),
            };
            let part = &part;
            async move {
                let messages = self.in_time(call(channel, bulk::PULL, [request])).await?;
                let mut messages = BulkReader::new(messages);
                let header = pull::header(&mut messages);
                // Who pulls for a step may wait at the gate.
                let header =
                    if step.is_some() { header.await } else { self.in_time(header).await }?;
                let part = &mut *part.lock().await;
                self.receive(&mut messages, part, encoding, |_| ()).await?;
                Ok(header.clock)
            }
        })
        .await
    }

    /// Pushes, then receives the weights for the next step, or the one so far ahead of it.
    pub(super) async fn push_pull(
        &self,
        push: PushCall,
        mut part: PartMut<'_>,
    ) -> Result<(PushReport, Clock), Error> {
        let mut pushed = None;
        let encoding = self.shared.config.wire.pull;
        // What of this push is applied there, the shard knows by itself.
        let next = Step { clock: push.clock + 1, finished: 0, ahead: push.pull_ahead };
        let both = self
            .once(|channel| {
                let call = self.send(channel, bulk::PUSH_PULL, &push);
                let (push, pushed, part) = (&push, &mut pushed, &mut part);
                async move {
                    let mut replies = BulkReader::of_push_pull(self.in_time_of(push, call).await?);
                    let mut acknowledged = |reply| *pushed = Some(report(&reply));
                    // The acknowledgement comes ahead of the header where the gate is closed, and
                    // among the weights where it is open.
                    let header = match self.in_time_of(push, pull::first(&mut replies)).await? {
                        First::Header(header) => header,
                        First::Acknowledged(reply) => {
                            acknowledged(reply);
                            pull::header(&mut replies).await?
                        }
                    };
                    self.receive(&mut replies, part, encoding, &mut acknowledged).await?;
                    match pushed {
                        Some(_) => Ok(header.clock),
                        None => Err(unexpected("acknowledgement", &"the end of the call")),
                    }
                }
            })
            .await;
        match (pushed, both) {
            (Some(report), Ok(clock)) => Ok((report, clock)),
            (_, Err(error)) if error.is_final => {
                Err(Error::of(self.shard, self.link.address(), &error.status))
            }
            // Something was lost: the same push again under the same id, then a plain pull.
            (pushed, failed) => {
                if let Err(error) = failed {
                    self.was_late(&push, &error.status);
                }
                let report = match pushed {
                    Some(report) => report,
                    None => self.push_alone(push).await?,
                };
                Ok((report, self.pull(Some(next), encoding, part).await?))
            }
        }
    }

    /// Receives the weights, each chunk in time.
    async fn receive(
        &self,
        messages: &mut BulkReader<v1::PullMessage>,
        part: &mut PartMut<'_>,
        encoding: Encoding,
        acknowledged: impl FnMut(v1::PushReply),
    ) -> Result<(), Status> {
        let pulled = &self.shared.traffic.bytes_pulled;
        let received = |bytes| {
            pulled.fetch_add(bytes, Ordering::Relaxed);
        };
        let longest = self.shared.config.attempt;
        pull::values(messages, part, encoding, longest, received, acknowledged).await
    }

    /// Sends a push: chunk after chunk as they are computed, or all of them, each made while those
    /// before are under way.
    fn send(
        &self,
        channel: Channel,
        path: &'static str,
        push: &PushCall,
    ) -> impl Future<Output = Result<MessageReader, Status>> + Send + use<> {
        let (complete, arriving) = match push.chunks.arriving() {
            None => (Some(self.messages(push)), None),
            Some(groups) => {
                let mut header = Some(self.header(push));
                let message =
                    move |chunks| v1::PushMessage { header: header.take(), chunks }.pieces();
                (None, Some(groups.map(message)))
            }
        };
        async move {
            match arriving {
                Some(messages) => flow(channel, path, messages).await,
                None => call(channel, path, complete.into_iter().flatten()).await,
            }
        }
    }

    /// A push that is complete, as it is sent.
    fn messages(
        &self,
        push: &PushCall,
    ) -> impl Iterator<Item = v1::PushMessage> + Send + Unpin + use<> {
        let mut header = Some(self.header(push));
        let chunks = push.chunks.payloads();
        grouped(chunks).map(move |chunks| v1::PushMessage { header: header.take(), chunks })
    }

    fn header(&self, push: &PushCall) -> v1::PushHeader {
        let bytes = push.chunks.bytes() as u64;
        self.shared.traffic.bytes_pushed.fetch_add(bytes, Ordering::Relaxed);
        let wire = self.shared.config.wire;
        let (kind, encoding) = match push.kind {
            Kind::Trained => (v1::TensorKind::Trainable, wire.push),
            Kind::State => (v1::TensorKind::State, Encoding::F32),
        };
        v1::PushHeader {
            job: self.shared.config.job.clone(),
            shard: self.shard,
            id: Some(v1::PushId {
                worker: push.id.worker,
                incarnation: push.id.incarnation,
                seq: push.id.seq,
            }),
            oldest_unacknowledged_seq: push.oldest,
            epoch: self.epoch(),
            clock: push.clock,
            learning_rate: push.learning_rate,
            loss: push.loss,
            kind: kind.into(),
            chunks_total: push.chunks.count() as u32,
            encoding: v1::Encoding::from(encoding).into(),
            pull_encoding: v1::Encoding::from(wire.pull).into(),
            pull_ahead: push.pull_ahead,
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.shared.epoch.load(Ordering::Relaxed)
    }
}

fn client(channel: Channel) -> DataPlaneClient<Channel> {
    DataPlaneClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

pub(super) fn report(reply: &v1::PushReply) -> PushReport {
    PushReport { staleness: reply.staleness_max, chunks_refused: reply.refused.len() as u64 }
}

/// Payloads grouped into messages; at least one, for the header.
fn grouped(
    mut payloads: impl Iterator<Item = Payload>,
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
