//! Pushes as they arrive, chunk by chunk.

use super::buffers::Share;
use super::{Service, status};
use http::Request;
use ps_core::limits::{CUT_ROOM_WAIT_MS_MAX, MESSAGE_BYTES_MAX, PUSH_CHUNK_WAIT_MS_MAX};
use ps_core::shard::{EncodedRun, Error, Push, PushHeader};
use ps_proto::bulk::{BulkReader, Item, MessageReader};
use ps_proto::convert::data::push_reply;
use ps_proto::v1;
use ps_runtime::transport::ConnectionHandle;
use std::ops::Range;
use std::time::Duration;
use tonic::Status;
use tonic::body::Body;

/// The messages of a call that pushes.
pub(super) struct Pushes {
    pub(super) messages: BulkReader<v1::PushMessage>,
    /// What its connection may have of the memory that they are received into.
    share: Share,
    connection: Option<ConnectionHandle>,
}

impl Service {
    /// The messages of this call.
    ///
    /// # Errors
    /// They are compressed.
    pub(super) fn pushes(&self, request: Request<Body>) -> Result<Pushes, Status> {
        let connection = request.extensions().get().cloned();
        let share = self.shares(connection.as_ref()).received;
        let messages = BulkReader::new(MessageReader::of_request(request, MESSAGE_BYTES_MAX)?);
        Ok(Pushes { messages, share, connection })
    }

    /// Takes the whole push of a call that has one.
    pub(super) async fn take_push(&self, mut pushes: Pushes) -> Result<v1::PushReply, Status> {
        let header = self.push_header(&mut pushes).await?;
        let mut push = self.begin(header).await?;
        while self.take_run(&mut pushes, &mut push).await?.is_some() {}
        let reply = self.finish(push)?;
        self.is_durable().await?;
        Ok(reply)
    }

    /// The header that a call that pushes begins with.
    pub(super) async fn push_header(&self, pushes: &mut Pushes) -> Result<PushHeader, Status> {
        let header = in_time(pushes.messages.header()).await?;
        self.check_push(header, pushes)
    }

    /// What a push's header says, if it is meant for this server.
    pub(super) fn check_push(
        &self,
        header: v1::PushHeader,
        pushes: &Pushes,
    ) -> Result<PushHeader, Status> {
        self.check_job(&header.job)?;
        self.check_shard(header.shard)?;
        pushes.connection.iter().for_each(ConnectionHandle::known);
        Ok(PushHeader::try_from(header)?)
    }

    /// Opens a push, once no cut is about to be told whether it is in it.
    pub(super) async fn begin(&self, header: PushHeader) -> Result<Push<'_>, Status> {
        let mut changes = None;
        loop {
            let now = self.clock.now();
            let until = match self.shard.begin(header.clone(), now) {
                Err(Error::CutIsPrepared { until }) => until,
                begun => return begun.map_err(|error| self.refused(&error)),
            };
            let Some(changes) = &mut changes else {
                // A change before it would not be seen: look again.
                changes = Some(self.gate_changes.subscribe());
                continue;
            };
            let _ = tokio::time::timeout(until.saturating_sub(now), changes.changed()).await;
        }
    }

    /// Applies the next run of chunks, unless the push is complete: which, `None` at the end.
    pub(super) async fn take_run(
        &self,
        pushes: &mut Pushes,
        push: &mut Push<'_>,
    ) -> Result<Option<Range<u32>>, Status> {
        while !push.was_finished() {
            match in_time(pushes.messages.next()).await? {
                None => break,
                // Only the first message's header counts.
                Some(Item::Header(_) | Item::End | Item::Acknowledged(_)) => (),
                Some(Item::Chunk) => return self.apply(pushes, push).await.map(Some),
            }
        }
        Ok(None)
    }

    /// Receives the run of chunks that was announced, and applies it.
    pub(super) async fn apply(
        &self,
        pushes: &mut Pushes,
        push: &mut Push<'_>,
    ) -> Result<Range<u32>, Status> {
        let mut buffer = self.buffers.receive_buffer(&pushes.share);
        let chunk = in_time(pushes.messages.chunk(&mut buffer)).await?;
        self.shard.counters().bytes_received.add(chunk.bytes() as u64);
        let encoded = EncodedRun {
            first: chunk.index,
            chunks: chunk.chunks,
            pulled_version: chunk.version,
            spans: &chunk.spans,
            values: chunk.values.bytes(buffer.bytes()),
            positions: chunk.positions.bytes(buffer.bytes()),
        };
        self.has_room().await?;
        self.cut_has_room(push, &encoded).await;
        push.take(&encoded).map_err(|error| self.refused(&error))?;
        Ok(chunk.run())
    }

    /// Waits until what these values change can be kept as it was, where a checkpoint that is written needs it.
    async fn cut_has_room(&self, push: &Push<'_>, sent: &EncodedRun<'_>) {
        let has_room = || self.shard.cut_has_room(&push.header().id, sent.first, sent.chunks);
        if has_room() {
            return;
        }
        self.cut_waits.happened(|times| {
            tracing::warn!(
                "pushes wait until more of the checkpoint is written: what is kept for it has reached --cut-memory \
                 ({times} times)"
            );
        });
        let mut changes = self.gate_changes.subscribe();
        let longest = Duration::from_millis(CUT_ROOM_WAIT_MS_MAX);
        let wait = async {
            while !has_room() {
                let _ = changes.changed().await;
            }
        };
        if tokio::time::timeout(longest, wait).await.is_err() {
            // Training goes first: whoever pushes would give up, too.
            self.shard.give_up_cut();
        }
    }

    /// Ends a push: what its worker is told, once that is durable.
    pub(super) fn finish(&self, push: Push<'_>) -> Result<v1::PushReply, Status> {
        let (id, chunks) = (push.header().id, push.header().chunks_total);
        let (acknowledgement, duplicate) = push.finish().map_err(|error| self.refused(&error))?;
        if let Some((index, reason)) = acknowledgement.refused.first().filter(|_| !duplicate) {
            let (refused, index, reason) = (acknowledgement.refused.len(), *index, *reason);
            // A gradient that is not finite is seldom the only one.
            self.refused.happened(move |times| {
                tracing::warn!(
                    "{id}: {refused} of {chunks} chunks refused; chunk {index}: {reason} ({times} such \
                     pushes)"
                );
            });
        }
        Ok(push_reply(&acknowledgement, duplicate))
    }

    fn refused(&self, error: &Error) -> Status {
        status::push(error, self.shard.epoch())
    }
}

/// What a caller sends next, within the time that it has for it.
pub(super) async fn in_time<T>(next: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let longest = Duration::from_millis(PUSH_CHUNK_WAIT_MS_MAX);
    let late = |_| Status::deadline_exceeded(format!("nothing came for {longest:?}"));
    tokio::time::timeout(longest, next).await.map_err(late)?
}
