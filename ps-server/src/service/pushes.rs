//! Pushes as they arrive, chunk by chunk.

use super::{Service, status};
use crate::shard::{Error as PushError, Push};
use http::Request;
use ps_core::limits::{MESSAGE_BYTES_MAX, PUSH_CHUNK_WAIT_MS_MAX};
use ps_core::window::Acknowledgement;
use ps_proto::bulk::{BulkReader, Item, MessageReader};
use ps_proto::convert::Error;
use ps_proto::convert::data::PushStart;
use ps_proto::v1;
use std::time::Duration;
use tonic::Status;
use tonic::body::Body;

/// The messages of a call that pushes.
pub(super) type Pushes = BulkReader<v1::PushMessage>;

/// The messages of this call.
///
/// # Errors
/// They are compressed.
#[allow(clippy::result_large_err)]
pub(super) fn pushes(request: Request<Body>) -> Result<Pushes, Status> {
    Ok(BulkReader::new(MessageReader::of_request(request, MESSAGE_BYTES_MAX)?))
}

impl Service {
    /// Takes the whole push of a call that has one.
    pub(super) async fn take_push(
        &self,
        mut messages: Pushes,
    ) -> Result<(Acknowledgement, bool), Status> {
        let start = self.push_start(&mut messages).await?;
        let mut push = self.begin(start)?;
        while self.take_chunk(&mut messages, &mut push).await?.is_some() {}
        push.finish().map_err(|error| self.refused(&error))
    }

    /// The header that a call that pushes begins with.
    pub(super) async fn push_start(&self, messages: &mut Pushes) -> Result<PushStart, Status> {
        let Some(Item::Header(header)) = in_time(messages.next()).await? else {
            return Err(Error::Missing { message: "PushMessage", field: "header" }.into());
        };
        self.check_push(header)
    }

    /// What a push's header says, if it is meant for this server.
    #[allow(clippy::result_large_err)]
    pub(super) fn check_push(&self, header: v1::PushHeader) -> Result<PushStart, Status> {
        self.check_job(&header.job)?;
        self.check_shard(header.shard)?;
        Ok(PushStart::try_from(header)?)
    }

    /// Opens a push.
    #[allow(clippy::result_large_err)]
    pub(super) fn begin(&self, start: PushStart) -> Result<Push<'_>, Status> {
        self.shard.begin(start, self.clock.now()).map_err(|error| self.refused(&error))
    }

    /// Applies the next chunk, unless the push is complete: its index, `None` at the end.
    pub(super) async fn take_chunk(
        &self,
        messages: &mut Pushes,
        push: &mut Push<'_>,
    ) -> Result<Option<u32>, Status> {
        while !push.was_finished() {
            match in_time(messages.next()).await? {
                None => break,
                // Only the first message's header counts.
                Some(Item::Header(_) | Item::End | Item::Acknowledged(_)) => (),
                Some(Item::Chunk) => return self.apply(messages, push).await.map(Some),
            }
        }
        Ok(None)
    }

    /// Receives the chunk that was announced, and applies it.
    pub(super) async fn apply(
        &self,
        messages: &mut Pushes,
        push: &mut Push<'_>,
    ) -> Result<u32, Status> {
        let mut room = self.buffers.room();
        let chunk = in_time(messages.chunk(&mut room)).await?;
        self.shard.counters().bytes_received.add(chunk.bytes() as u64);
        push.take(&chunk, room.bytes()).map_err(|error| self.refused(&error))?;
        Ok(chunk.index)
    }

    pub(super) fn refused(&self, error: &PushError) -> Status {
        status::push(error, self.shard.epoch())
    }
}

/// What a caller sends next, within the time that it has for it.
pub(super) async fn in_time<T>(next: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let longest = Duration::from_millis(PUSH_CHUNK_WAIT_MS_MAX);
    let late = |_| Status::deadline_exceeded(format!("nothing came for {longest:?}"));
    tokio::time::timeout(longest, next).await.map_err(late)?
}
