//! Starts: the weights that a worker creates the shard from.
//!
//! One start is taken at a time, so that many workers at once do not each make the server hold one. The
//! others wait, for which nothing is held, and are told that they do.

use super::buffers::Share;
use super::pushes::in_time;
use super::{Service, status};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use ps_core::limits::{INIT_BYTES_PER_S_MIN, INIT_TURN_MS_MAX, MESSAGE_BYTES_MAX, WAIT_TOLD_MS};
use ps_core::model_spec::ModelSpec;
use ps_core::shard::{InitError, InitialWeights};
use ps_proto::bulk::{self, BulkReader, Item, MessageReader, Pieces};
use ps_proto::convert::data::ELEMENT_BYTES;
use ps_proto::convert::init::{InitHeader, check_chunk};
use ps_proto::v1;
use ps_runtime::transport::ConnectionHandle;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::body::Body;

/// Answers that a caller has not read yet.
const REPLIES_MAX: usize = 4;

/// The messages of a start.
struct Messages {
    reader: BulkReader<v1::InitMessage>,
    /// What its connection may have of the memory that they are received into.
    share: Share,
}

type Replies = mpsc::Sender<Result<Vec<Bytes>, Status>>;

/// A start that is being taken: others wait for it, and so do checkpoints that are to be restored.
struct Turn {
    begun: Instant,
    /// What of the weights has come.
    bytes: u64,
}

impl Turn {
    /// Waits for the next step as long as the turn may take, given what has come: a caller that sends a little now and
    /// then must not have it for ever.
    async fn within<T>(&self, step: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let for_bytes = self.bytes.saturating_mul(1000) / INIT_BYTES_PER_S_MIN;
        let longest = Duration::from_millis(INIT_TURN_MS_MAX.saturating_add(for_bytes));
        let late = |_| {
            Status::deadline_exceeded(format!(
                "{} bytes of a start came in {longest:?}, and others wait for it",
                self.bytes
            ))
        };
        tokio::time::timeout_at(self.begun + longest, step).await.map_err(late)?
    }
}

impl Service {
    /// Answers `Init`.
    pub(super) async fn answer_init(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let connection: Option<ConnectionHandle> = request.extensions().get().cloned();
        let share = self.shares(connection.as_ref()).received;
        let reader = BulkReader::new(MessageReader::of_request(request, MESSAGE_BYTES_MAX)?);
        let mut messages = Messages { reader, share };
        let header = self.init_header(&mut messages.reader).await?;
        self.check_member()?;
        self.check_start(&header)?;
        connection.iter().for_each(ConnectionHandle::known);
        if let Some(reply) = self.already_initialised(&header)? {
            self.is_founded().await?;
            return Ok(bulk::response(Box::pin(stream::iter([Ok(reply.pieces())]))));
        }
        let (replies, receiver) = mpsc::channel(REPLIES_MAX);
        let service = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                reply = service.start_in_turn(header, messages, &replies) => {
                    let _ = replies.send(reply.map(Pieces::pieces)).await;
                }
                // Nobody is there any more who starts.
                () = replies.closed() => (),
            }
        });
        Ok(bulk::response(Box::pin(ReceiverStream::new(receiver))))
    }

    /// Who takes the place of a server that died says to the master what that one had left. It must hold nothing else when the
    /// master takes that for true.
    fn check_member(&self) -> Result<(), Status> {
        if self.is_member.load(Ordering::Acquire) {
            return Ok(());
        }
        let shard = self.shard.index();
        Err(Status::unavailable(format!("shard {shard} waits for its master to take it in")))
    }

    /// The header, whose decoding takes memory: few at once.
    async fn init_header(
        &self,
        messages: &mut BulkReader<v1::InitMessage>,
    ) -> Result<InitHeader, Status> {
        // Nobody closes it.
        let _permit = self.init_headers.acquire().await;
        let header = in_time(messages.header()).await?;
        self.check_job(&header.job)?;
        self.check_shard(header.shard)?;
        Ok(header.try_into()?)
    }

    /// Takes the weights if no other start is taken; else waits until none is.
    async fn start_in_turn(
        &self,
        header: InitHeader,
        messages: Messages,
        replies: &Replies,
    ) -> Result<v1::InitReply, Status> {
        if let Ok(_turn) = self.initialising.try_lock() {
            return self.start(header, messages, replies).await;
        }
        drop((header, messages));
        let mut turn = std::pin::pin!(self.initialising.lock());
        loop {
            tokio::select! {
                biased;
                _turn = &mut turn => return Ok(reply_of(v1::InitState::Again)),
                () = tokio::time::sleep(Duration::from_millis(WAIT_TOLD_MS)) => {
                    // Who does not read has answers enough to read.
                    let _ = replies.try_send(Ok(reply_of(v1::InitState::Waiting).pieces()));
                }
            }
        }
    }

    /// Takes the weights, unless another one's were taken meanwhile.
    async fn start(
        &self,
        header: InitHeader,
        mut messages: Messages,
        replies: &Replies,
    ) -> Result<v1::InitReply, Status> {
        if let Some(reply) = self.already_initialised(&header)? {
            self.is_founded().await?;
            return Ok(reply);
        }
        let _ = replies.send(Ok(reply_of(v1::InitState::Send).pieces())).await;
        let shard = self.shard.index();
        let description = describe(&header.model, shard);
        let mut initial = InitialWeights::new(shard, header.model.clone(), header.start_digest);
        let mut turn = Turn { begun: Instant::now(), bytes: 0 };
        while let Some(item) = turn.within(in_time(messages.reader.next())).await? {
            if item == Item::Chunk {
                turn.bytes += turn.within(self.add_chunk(&mut messages, &mut initial)).await?;
            }
        }
        // Its life may have ended while it sent.
        self.check_start(&header)?;
        self.shard.install(initial.finish().map_err(invalid)?);
        self.is_founded().await?;
        tracing::info!("shard {shard} holds {description}");
        Ok(v1::InitReply { created: true, ..Default::default() })
    }

    async fn add_chunk(
        &self,
        messages: &mut Messages,
        initial: &mut InitialWeights,
    ) -> Result<u64, Status> {
        let Messages { reader, share } = messages;
        let mut buffer = self.buffers.receive_buffer(share);
        let chunk = in_time(reader.chunk(&mut buffer)).await?;
        check_chunk(&chunk)?;
        let bytes = chunk.bytes() as u64;
        self.shard.counters().bytes_received.add(bytes);
        initial.add(chunk.index, chunk.values.bytes(buffer.bytes())).map_err(invalid)?;
        Ok(bytes)
    }

    fn check_start(&self, header: &InitHeader) -> Result<(), Status> {
        let InitHeader { epoch, worker, incarnation, .. } = *header;
        let checked = self.shard.check_start(epoch, worker, incarnation);
        checked.map_err(|error| status::fenced(&error, self.shard.epoch()))
    }

    fn already_initialised(&self, header: &InitHeader) -> Result<Option<v1::InitReply>, Status> {
        let digest = (!header.any_start).then_some(header.start_digest);
        match self.shard.compare(&header.model, digest) {
            None => Ok(None),
            Some(Ok(())) => Ok(Some(v1::InitReply::default())),
            Some(Err(error)) => Err(status::other_model(&error, self.shard.epoch())),
        }
    }
}

fn reply_of(state: v1::InitState) -> v1::InitReply {
    v1::InitReply { created: false, state: state.into() }
}

fn invalid(error: InitError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn describe(spec: &ModelSpec, shard: u32) -> String {
    let elements = spec.partition().range(shard).len();
    let mib = (elements * ELEMENT_BYTES) as f64 / (1 << 20) as f64;
    format!("{elements} of {} weights ({mib:.2} MiB)", spec.layout.elements())
}

#[cfg(test)]
mod tests;
