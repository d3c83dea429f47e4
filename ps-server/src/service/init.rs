//! Starts: the weights that a worker creates the shard from.
//!
//! One start is taken at a time, so that many workers at once do not each make the server hold one. The
//! others wait, holding nothing, and are told that they do.

use super::{Service, status};
use futures_util::stream;
use ps_core::limits::{PUSH_CHUNK_WAIT_MS_MAX, WAIT_TOLD_MS};
use ps_core::model_spec::ModelSpec;
use ps_core::shard::{InitError, InitialWeights};
use ps_proto::convert::data::ELEMENT_BYTES;
use ps_proto::convert::init::{InitChunk, InitHeader, take_header};
use ps_proto::v1;
use std::time::Duration;
use tokio::sync::{MutexGuard, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::BoxStream;
use tonic::{Status, Streaming};

/// Answers that a caller has not read yet.
const REPLIES_MAX: usize = 4;

type Replies = mpsc::Sender<Result<v1::InitReply, Status>>;

impl Service {
    /// Answers `Init`.
    pub(super) async fn answer_init(
        &self,
        mut messages: Streaming<v1::InitMessage>,
    ) -> Result<BoxStream<v1::InitReply>, Status> {
        let mut first = next(&mut messages).await?;
        let header = take_header(first.as_mut())?;
        self.check_job(&header.job)?;
        self.check_shard(header.shard)?;
        let header = InitHeader::try_from(header)?;
        self.check_start(&header)?;
        if let Some(reply) = self.already_initialised(&header)? {
            return Ok(Box::pin(stream::iter([Ok(reply)])));
        }
        let (replies, receiver) = mpsc::channel(REPLIES_MAX);
        let service = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                created = service.start(header, messages, &replies) => {
                    let _ = replies.send(created).await;
                }
                // Nobody is there any more who starts.
                () = replies.closed() => (),
            }
        });
        Ok(Box::pin(ReceiverStream::new(receiver)))
    }

    /// Takes the weights when it is this start's turn, unless another one's were taken meanwhile.
    async fn start(
        &self,
        header: InitHeader,
        mut messages: Streaming<v1::InitMessage>,
        replies: &Replies,
    ) -> Result<v1::InitReply, Status> {
        let _turn = self.turn(replies).await;
        if let Some(reply) = self.already_initialised(&header)? {
            return Ok(reply);
        }
        let _ = replies.send(Ok(reply_of(v1::InitState::Send))).await;
        let shard = self.shard.index();
        let description = describe(&header.model, shard);
        let mut initial = InitialWeights::new(shard, header.model.clone(), header.start_digest);
        let invalid = |error: InitError| Status::invalid_argument(error.to_string());
        while let Some(part) = next(&mut messages).await? {
            for chunk in part.chunks {
                let InitChunk { index, values } = chunk.try_into()?;
                self.shard.counters().bytes_received.add(values.len() as u64);
                initial.add(index, &values).map_err(invalid)?;
            }
        }
        // Its life may have ended while it sent.
        self.check_start(&header)?;
        self.shard.install(initial.finish().map_err(invalid)?);
        tracing::info!("shard {shard} holds {description}");
        Ok(v1::InitReply { created: true, ..Default::default() })
    }

    /// Waits until no other start is taken.
    async fn turn(&self, replies: &Replies) -> MutexGuard<'_, ()> {
        let mut turn = std::pin::pin!(self.initialising.lock());
        loop {
            tokio::select! {
                biased;
                turn = &mut turn => return turn,
                () = tokio::time::sleep(Duration::from_millis(WAIT_TOLD_MS)) => {
                    // Who does not read has answers enough to read.
                    let _ = replies.try_send(Ok(reply_of(v1::InitState::Waiting)));
                }
            }
        }
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

/// The next message of a call, within the time a sender has for it.
async fn next<T>(messages: &mut Streaming<T>) -> Result<Option<T>, Status> {
    let longest = Duration::from_millis(PUSH_CHUNK_WAIT_MS_MAX);
    match tokio::time::timeout(longest, messages.message()).await {
        Ok(message) => message,
        Err(_) => Err(Status::deadline_exceeded(format!("no message within {longest:?}"))),
    }
}

fn describe(spec: &ModelSpec, shard: u32) -> String {
    let elements = spec.partition().range(shard).len();
    let mib = (elements * ELEMENT_BYTES) as f64 / (1 << 20) as f64;
    format!("{elements} of {} weights ({mib:.2} MiB)", spec.layout.elements())
}
