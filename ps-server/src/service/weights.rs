//! Weights on their way out, one chunk after another.
//!
//! A large chunk is sent from where it lies; an update that comes meanwhile goes to other memory. Small ones are
//! copied under their locks, many to a message. Both when there is room for them, never before: what a caller that
//! does not read makes the server hold is bounded, and it loses its connection.

use super::Service;
use super::buffers::{Buffer, CHUNK_BYTES, Share};
use super::sent_run::SentRun;
use http::Response;
use ps_core::limits::{PULL_CHUNKS_AHEAD_MAX, WAIT_TOLD_MS};
use ps_core::shard::ModelShard;
use ps_kernels::encoding::Encoding;
use ps_proto::bulk::{self, Pieces};
use ps_proto::convert::refusal::{self, Reason};
use ps_proto::v1;
use ps_runtime::transport::ConnectionHandle;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, Permit};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;

/// How a call wraps a part of a pull: as it is, or in another message.
pub(super) type Wrap = fn(v1::PullMessage) -> Vec<Bytes>;

/// Who weights are sent to, and how.
pub(super) struct Reader {
    connection: Option<ConnectionHandle>,
    /// What its connection may have of the memory that they are sent from.
    share: Share,
    wrap: Wrap,
    encoding: Encoding,
    unread_max: Duration,
}

/// An answer of weights that is being sent.
pub(super) struct Weights {
    sender: mpsc::Sender<Result<Vec<Bytes>, Status>>,
    reader: Reader,
}

/// Why sending ended early: nobody is there to be told, or was told.
pub(super) struct Disconnected;

impl Weights {
    /// An answer that `produce` sends, while the caller may still be sending itself.
    pub(super) fn answer<F>(reader: Reader, produce: impl FnOnce(Self) -> F) -> Response<Body>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(PULL_CHUNKS_AHEAD_MAX);
        tokio::spawn(produce(Self { sender, reader }));
        bulk::response(Box::pin(ReceiverStream::new(receiver)))
    }

    /// Sends what is no part of a pull.
    pub(super) async fn send(
        &self,
        message: Result<Vec<Bytes>, Status>,
    ) -> Result<(), Disconnected> {
        self.slot().await?.send(message);
        Ok(())
    }

    /// Waits for this step, and says now and then that the call waits.
    pub(super) async fn while_waiting<T>(&self, step: impl Future<Output = T>) -> T {
        let mut step = std::pin::pin!(step);
        loop {
            tokio::select! {
                biased;
                done = &mut step => return done,
                () = tokio::time::sleep(Duration::from_millis(WAIT_TOLD_MS)) => {
                    // Who does not read has enough to read.
                    if let Ok(slot) = self.sender.try_reserve() {
                        slot.send(Ok((self.reader.wrap)(v1::PullMessage::default())));
                    }
                }
            }
        }
    }

    /// Sends what comes before the weights.
    pub(super) async fn header(&self, header: v1::PullHeader) -> Result<(), Disconnected> {
        let message = v1::PullMessage { header: Some(header), chunks: Vec::new() };
        self.send(Ok((self.reader.wrap)(message))).await
    }

    /// Sends the first of these chunks as they are now, as many as one message takes; those that are
    /// left.
    pub(super) async fn chunks<'i>(
        &self,
        service: &Service,
        model: &ModelShard,
        indices: &'i [usize],
    ) -> Result<&'i [usize], Disconnected> {
        let slot = self.slot().await?;
        let buffer = service.sent.take(&self.reader.share);
        // Others have what there is: that is no fault of this one's.
        let Ok(buffer) = tokio::time::timeout(self.reader.unread_max, buffer).await else {
            let message = "the server sends as much as it may hold: pull again later";
            slot.send(Err(Status::resource_exhausted(message)));
            return Err(Disconnected);
        };
        let (message, rest) = self.message(service, model, indices, buffer);
        slot.send(Ok(message));
        Ok(rest)
    }

    /// The same now, unless the caller is behind with reading or there is no room: then all are left.
    pub(super) fn chunks_now<'i>(
        &self,
        service: &Service,
        model: &ModelShard,
        indices: &'i [usize],
    ) -> &'i [usize] {
        let Ok(slot) = self.sender.try_reserve() else { return indices };
        let Some(buffer) = service.sent.take_now(&self.reader.share) else { return indices };
        let (message, rest) = self.message(service, model, indices, buffer);
        slot.send(Ok(message));
        rest
    }

    /// Bytes of a chunk as it is sent.
    pub(super) fn bytes(&self, model: &ModelShard, index: usize) -> usize {
        self.reader.encoding.encoded_bytes(model.elements(index))
    }

    /// Whether a chunk is sent from where it lies: it fills most of a message, and needs no encoding.
    fn is_held(&self, model: &ModelShard, index: usize) -> bool {
        self.reader.encoding == Encoding::F32 && 2 * self.bytes(model, index) > CHUNK_BYTES
    }

    /// The first of these chunks, as many as the buffer takes, and those that are left.
    fn message<'i>(
        &self,
        service: &Service,
        model: &ModelShard,
        indices: &'i [usize],
        mut buffer: Buffer,
    ) -> (Vec<Bytes>, &'i [usize]) {
        let (mut runs, mut taken) = (Vec::<SentRun>::new(), 0);
        if let Some((&first, rest)) = indices.split_first()
            && self.is_held(model, first)
        {
            return (self.held(service, model, first, buffer), rest);
        }
        for &index in indices {
            if self.is_held(model, index) || !buffer.has_room(self.bytes(model, index)) {
                break;
            }
            let chunk = model.chunks()[index].lock();
            let bytes = buffer.add(chunk.weights(), self.reader.encoding);
            let next = SentRun::new(index, &chunk, bytes);
            drop(chunk);
            taken += 1;
            match runs.last_mut().filter(|run| run.goes_on_with(&next, model, self.reader.encoding))
            {
                Some(run) => run.add(next),
                None => runs.push(next),
            }
        }
        let values = buffer.into_bytes();
        service.shard.counters().bytes_sent.add(values.len() as u64);
        let chunks = runs.into_iter().map(|run| run.into_values(model, &values)).collect();
        ((self.reader.wrap)(v1::PullMessage { header: None, chunks }), &indices[taken..])
    }

    /// One chunk from where it lies.
    fn held(
        &self,
        service: &Service,
        model: &ModelShard,
        index: usize,
        buffer: Buffer,
    ) -> Vec<Bytes> {
        let chunk = model.chunks()[index].lock();
        let (version, weights) = (chunk.version(), chunk.shared_weights());
        drop(chunk);
        let values = buffer.hold(weights);
        service.shard.counters().bytes_sent.add(values.len() as u64);
        let chunk = v1::ChunkValues { index: model.id(index), chunks: 1, version, values };
        (self.reader.wrap)(v1::PullMessage { header: None, chunks: vec![chunk] })
    }

    async fn slot(&self) -> Result<Permit<'_, Result<Vec<Bytes>, Status>>, Disconnected> {
        self.in_time(self.sender.reserve()).await?.map_err(|_| Disconnected)
    }

    async fn in_time<T>(&self, step: impl Future<Output = T>) -> Result<T, Disconnected> {
        match tokio::time::timeout(self.reader.unread_max, step).await {
            Ok(done) => Ok(done),
            Err(_) => {
                let longest = self.reader.unread_max;
                tracing::warn!("a caller has read nothing for {longest:?}: its connection is cut");
                self.reader.connection.iter().for_each(ConnectionHandle::hang_up);
                Err(Disconnected)
            }
        }
    }
}

/// A part of a `Pull`'s answer.
pub(super) fn bare(message: v1::PullMessage) -> Vec<Bytes> {
    message.pieces()
}

/// A part of a `PushPull`'s answer.
pub(super) fn wrapped(message: v1::PullMessage) -> Vec<Bytes> {
    let kind = v1::push_pull_message::Kind::Pull(message);
    v1::PushPullMessage { kind: Some(kind) }.pieces()
}

impl Service {
    /// Who a call's weights are sent to.
    pub(super) fn reader(
        &self,
        connection: Option<ConnectionHandle>,
        wrap: Wrap,
        encoding: Encoding,
    ) -> Reader {
        let share = self.shares(connection.as_ref()).sent;
        Reader { connection, share, wrap, encoding, unread_max: self.unread_max }
    }

    /// The model part that weights are sent from.
    pub(super) fn model(&self) -> Result<Arc<ModelShard>, Status> {
        self.shard.model().cloned().ok_or_else(|| {
            let epoch = self.shard.epoch();
            let message = format!("shard {} holds no model yet", self.shard.index());
            refusal::status(Reason::NotInitialised, epoch, 0, message)
        })
    }
}
