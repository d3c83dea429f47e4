//! The calls to one shard, retried until they are answered.

use super::weights::PartMut;
use super::{Error, PushReport, Shared};
use bytes::Bytes;
use ps_core::ids::{Clock, PushId, Seq};
use ps_core::limits::{MESSAGE_BYTES_MAX, MESSAGE_PAYLOAD_BYTES};
use ps_core::model_spec::ModelSpec;
use ps_proto::convert::data::{ELEMENT_BYTES, Payload};
use ps_proto::convert::refusal::{self, Reason};
use ps_proto::v1;
use ps_proto::v1::data_plane_client::DataPlaneClient;
use ps_proto::v1::push_pull_message::Kind;
use ps_runtime::Outside;
use ps_runtime::link::{Link, Patience};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

/// A wait at the gate has no end of its own: the connection's keepalive notices a dead server, and
/// the gate a dead worker.
const GATE_WAIT: Duration = Duration::from_secs(24 * 3600);

/// One push's part for one shard: the same on every attempt, except for the epoch.
#[derive(Clone)]
pub(super) struct PushCall {
    pub(super) id: PushId,
    pub(super) oldest: Seq,
    pub(super) clock: Clock,
    pub(super) learning_rate: f32,
    pub(super) loss: f32,
    pub(super) chunks: Vec<Payload>,
}

/// The step that a worker pulls for.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) clock: Clock,
    /// Every push of a step below it is acknowledged.
    pub(super) finished: Clock,
}

pub(super) struct ShardClient {
    shard: u32,
    link: Link,
    shared: Arc<Shared>,
    told: AtomicBool,
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
        Ok(Self { shard, link, shared, told: AtomicBool::new(false) })
    }

    pub(super) async fn init(
        &self,
        spec: &ModelSpec,
        start: &[f32],
        any_start: bool,
    ) -> Result<(), Error> {
        let bytes = Bytes::copy_from_slice(bytemuck::cast_slice(start));
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
            let messages = grouped(payloads.clone())
                .map(move |chunks| v1::InitMessage { header: header.take(), chunks });
            let messages: Vec<_> = messages.collect();
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
        self.retry(self.shared.config.attempt, |channel| {
            let messages = self.messages(&push);
            async move {
                let messages = tokio_stream::iter(messages);
                Ok(client(channel).push(messages).await?.into_inner())
            }
        })
        .await
        .map(|reply| report(&reply))
    }

    /// Pulls for a step, or as a reader. Returns the clock that the shard has for the worker.
    pub(super) async fn pull(&self, step: Option<Step>, part: PartMut<'_>) -> Result<Clock, Error> {
        let config = &self.shared.config;
        let puller = step.map(|step| v1::Puller {
            worker: config.worker,
            incarnation: config.incarnation,
            clock: step.clock,
            finished_clock: step.finished,
        });
        let part = Mutex::new(part);
        self.retry(GATE_WAIT, |channel| {
            let request = v1::PullRequest {
                job: config.job.clone(),
                shard: self.shard,
                epoch: self.epoch(),
                puller,
                encoding: v1::Encoding::F32.into(),
            };
            let part = &part;
            async move {
                let call = async { Ok(client(channel).pull(request).await?.into_inner()) };
                let mut messages = self.in_time(call).await?;
                let first = messages.message();
                let first = if step.is_some() { first.await } else { self.in_time(first).await }?;
                self.receive(first, &mut messages, part, Some).await
            }
        })
        .await
    }

    /// Pushes, then receives the weights for the next step.
    pub(super) async fn push_pull(
        &self,
        push: PushCall,
        next: Clock,
        part: PartMut<'_>,
    ) -> Result<(PushReport, Clock), Error> {
        let acknowledged: Mutex<Option<PushReport>> = Mutex::new(None);
        let part = Mutex::new(part);
        let both = self
            .once(|channel| {
                let messages = self.messages(&push);
                let (acknowledged, part) = (&acknowledged, &part);
                async move {
                    let messages = tokio_stream::iter(messages);
                    let call =
                        async { Ok(client(channel).push_pull(messages).await?.into_inner()) };
                    let mut replies = self.in_time(call).await?;
                    match self.in_time(replies.message()).await?.and_then(|reply| reply.kind) {
                        Some(Kind::Push(reply)) => *lock(acknowledged) = Some(report(&reply)),
                        other => return Err(unexpected("acknowledgement", &other)),
                    }
                    let unwrap = |message: v1::PushPullMessage| match message.kind {
                        Some(Kind::Pull(message)) => Some(message),
                        _ => None,
                    };
                    let first = replies.message().await?.and_then(unwrap);
                    self.receive(first, &mut replies, part, unwrap).await
                }
            })
            .await;
        let pushed = lock(&acknowledged).take();
        match (pushed, both) {
            (Some(report), Ok(clock)) => Ok((report, clock)),
            (_, Err(error)) if error.is_final => {
                Err(Error::of(self.shard, self.link.address(), &error.status))
            }
            // Something was lost: the same push again under the same id, then a plain pull.
            (pushed, _) => {
                let report = match pushed {
                    Some(report) => report,
                    None => self.push(push).await?,
                };
                let part = part.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
                // What of this push is applied there, the shard knows by itself.
                let step = Step { clock: next, finished: 0 };
                Ok((report, self.pull(Some(step), part).await?))
            }
        }
    }

    fn messages(&self, push: &PushCall) -> Vec<v1::PushMessage> {
        let header = v1::PushHeader {
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
            kind: v1::TensorKind::Trainable.into(),
            chunks_total: push.chunks.len() as u32,
            encoding: v1::Encoding::F32.into(),
        };
        let bytes: usize = push.chunks.iter().map(|chunk| chunk.values.len()).sum();
        self.shared.traffic.bytes_pushed.fetch_add(bytes as u64, Ordering::Relaxed);
        let mut header = Some(header);
        grouped(push.chunks.clone())
            .map(|chunks| v1::PushMessage { header: header.take(), chunks })
            .collect()
    }

    /// Receives a shard's weights; every chunk once, whole, in order.
    async fn receive<T>(
        &self,
        first: Option<v1::PullMessage>,
        rest: &mut Streaming<T>,
        part: &Mutex<PartMut<'_>>,
        unwrap: impl Fn(T) -> Option<v1::PullMessage>,
    ) -> Result<Clock, Status> {
        let mut message = first;
        let header = message.as_ref().and_then(|message| message.header);
        let header = header.ok_or_else(|| unexpected("weights", &"none"))?;
        let mut next = 0;
        while let Some(current) = message {
            for chunk in &current.chunks {
                next = self.place(chunk, next, &mut lock(part))?;
            }
            message = self.in_time(rest.message()).await?.and_then(&unwrap);
        }
        let expected = lock(part).chunks.len();
        if next != expected {
            // The stream was cut: a new attempt brings the rest.
            return Err(Status::aborted(format!("{next} of {expected} chunks came")));
        }
        Ok(header.clock)
    }

    #[allow(clippy::result_large_err)] // tonic's own error type
    fn place(
        &self,
        chunk: &v1::ChunkValues,
        next: usize,
        part: &mut PartMut<'_>,
    ) -> Result<usize, Status> {
        let range = part.chunks.get(next).cloned().unwrap_or(0..0);
        let whole = chunk.values.len() == range.len() * ELEMENT_BYTES;
        if chunk.index as usize != next || range.is_empty() || !whole {
            let found = format!("chunk {} of {} bytes", chunk.index, chunk.values.len());
            let bytes = range.len() * ELEMENT_BYTES;
            return Err(unexpected(&format!("chunk {next} of {bytes} bytes"), &found));
        }
        let own = range.start - part.start..range.end - part.start;
        bytemuck::cast_slice_mut::<f32, u8>(&mut part.values[own]).copy_from_slice(&chunk.values);
        part.versions[next] = chunk.version;
        let bytes = chunk.values.len() as u64;
        self.shared.traffic.bytes_pulled.fetch_add(bytes, Ordering::Relaxed);
        Ok(next + 1)
    }

    fn epoch(&self) -> u64 {
        self.shared.epoch.load(Ordering::Relaxed)
    }

    /// Bounds one step of an attempt; whoever waits at the gate is not bounded.
    async fn in_time<T>(&self, step: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let longest = self.shared.config.attempt;
        match tokio::time::timeout(longest, step).await {
            Ok(result) => result,
            Err(_) => Err(Status::deadline_exceeded(format!("no answer within {longest:?}"))),
        }
    }

    /// Calls until there is an answer; a newer epoch is adopted on the way.
    async fn retry<T, F>(
        &self,
        attempt_longest: Duration,
        mut attempt: impl FnMut(Channel) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let patience = Patience { attempt: attempt_longest, total: self.shared.config.patience };
        loop {
            let result =
                self.link.call(patience, &mut attempt, |status| self.retried(status)).await;
            match result {
                Ok(answer) => {
                    self.told.store(false, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(status) if self.adopt_epoch(&status) => (),
                Err(status) => return Err(Error::of(self.shard, self.link.address(), &status)),
            }
        }
    }

    /// One attempt, whose failure says whether another may succeed.
    async fn once<T, F>(&self, attempt: impl FnOnce(Channel) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Status>>,
    {
        attempt(self.link.channel()).await.map_err(|status| {
            let is_final = !ps_runtime::link::is_retryable(&status) && !self.adopt_epoch(&status);
            if !is_final {
                self.retried(&status);
                if status.code() == tonic::Code::DeadlineExceeded {
                    self.link.reconnect();
                }
            }
            Failure { status, is_final }
        })
    }

    fn retried(&self, status: &Status) {
        self.shared.traffic.retries.fetch_add(1, Ordering::Relaxed);
        if !self.told.swap(true, Ordering::Relaxed) {
            let (shard, address) = (self.shard, self.link.address());
            tracing::info!("waiting for server {shard} at {address}: {}", status.message());
        }
    }

    /// Whether the call was refused for an old epoch, which is then refreshed.
    fn adopt_epoch(&self, status: &Status) -> bool {
        let Some(refusal) = refusal::from_status(status) else {
            return false;
        };
        let newer = refusal.current_epoch > self.epoch();
        if refusal.reason() == Reason::StaleEpoch && newer {
            self.shared.epoch.fetch_max(refusal.current_epoch, Ordering::Relaxed);
            return true;
        }
        false
    }
}

struct Failure {
    status: Status,
    is_final: bool,
}

fn client(channel: Channel) -> DataPlaneClient<Channel> {
    DataPlaneClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn report(reply: &v1::PushReply) -> PushReport {
    PushReport { staleness: reply.staleness_max, chunks_refused: reply.refused.len() as u64 }
}

/// Something that a server of this protocol does not send; retrying would not help.
fn unexpected(expected: &str, found: &dyn std::fmt::Debug) -> Status {
    Status::failed_precondition(format!("found {found:?}, expected {expected}"))
}

/// Payloads grouped into messages; at least one, for the header.
fn grouped(payloads: Vec<Payload>) -> impl Iterator<Item = Vec<v1::ChunkPayload>> {
    let mut payloads = payloads.into_iter().peekable();
    let mut first = true;
    std::iter::from_fn(move || {
        let (mut group, mut bytes) = (Vec::new(), 0);
        while bytes < MESSAGE_PAYLOAD_BYTES {
            let Some(payload) = payloads.next() else {
                break;
            };
            bytes += payload.values.len();
            group.push(payload.into());
        }
        let again = std::mem::replace(&mut first, false) || !group.is_empty();
        again.then_some(group)
    })
}
