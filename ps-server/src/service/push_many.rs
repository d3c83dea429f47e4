//! Many small pushes on one call, with answers that stand for all that were applied since the last.

use super::Service;
use super::pushes::{Pushes, in_time};
use futures_util::stream;
use http::{Request, Response};
use ps_core::limits::PUSHES_PER_ANSWER_MAX;
use ps_proto::bulk::{self, Item, Pieces};
use ps_proto::v1;
use tonic::Status;
use tonic::body::Body;

/// One call: its pushes, one after another, and what the caller was not told yet.
struct PushManyCall {
    service: Service,
    pushes: Pushes,
    /// Of the next push, when the one before it ended with it.
    header: Option<v1::PushHeader>,
    reply: v1::PushManyReply,
    untold: usize,
    /// How the call ended, when it has.
    end: Option<Result<(), Status>>,
}

impl Service {
    /// Answers `PushMany`.
    pub(super) fn answer_push_many(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let call = PushManyCall {
            service: self.clone(),
            pushes: self.pushes(request)?,
            header: None,
            reply: v1::PushManyReply::default(),
            untold: 0,
            end: None,
        };
        Ok(bulk::response(Box::pin(stream::try_unfold(call, |mut call| async move {
            Ok(call.next_reply().await?.map(|reply| (reply.pieces(), call)))
        }))))
    }
}

impl PushManyCall {
    /// Applies pushes while there are some to read, then says how many; `None` at the end.
    async fn next_reply(&mut self) -> Result<Option<v1::PushManyReply>, Status> {
        loop {
            let is_time = self.untold >= PUSHES_PER_ANSWER_MAX
                || self.end.is_some()
                || !self.pushes.messages.is_ready();
            if self.untold > 0 && is_time {
                self.service.is_durable().await?;
                self.untold = 0;
                let applied = self.reply.applied;
                let next = v1::PushManyReply { applied, particular: Vec::new() };
                return Ok(Some(std::mem::replace(&mut self.reply, next)));
            }
            // What was applied before the end is said first.
            if let Some(end) = self.end.take() {
                return end.map(|()| None);
            }
            match self.take_one().await {
                Ok(true) => self.untold += 1,
                Ok(false) => self.end = Some(Ok(())),
                Err(status) => self.end = Some(Err(status)),
            }
        }
    }

    /// Takes the next push, whole; false at the end of the call.
    async fn take_one(&mut self) -> Result<bool, Status> {
        let Some(header) = self.next_header().await? else { return Ok(false) };
        let header = self.service.check_push(header, &self.pushes)?;
        let seq = header.id.seq;
        let mut push = self.service.begin(header).await?;
        while !push.is_complete() {
            match in_time(self.pushes.messages.next()).await? {
                Some(Item::Chunk) => {
                    self.service.apply(&mut self.pushes, &mut push).await?;
                }
                Some(Item::Header(next)) => {
                    self.header = Some(next);
                    break;
                }
                Some(Item::End | Item::Acknowledged(_)) => (),
                None => break,
            }
        }
        let reply = self.service.finish(push)?;
        self.reply.applied += 1;
        if reply != v1::PushReply::default() {
            self.reply.particular.push(v1::PushAnswer { seq, reply: Some(reply) });
        }
        Ok(true)
    }

    /// The next push's header: the call may be idle for any time before it.
    async fn next_header(&mut self) -> Result<Option<v1::PushHeader>, Status> {
        if let Some(header) = self.header.take() {
            return Ok(Some(header));
        }
        loop {
            match self.pushes.messages.next().await? {
                Some(Item::Header(header)) => return Ok(Some(header)),
                Some(Item::Chunk) if self.reply.applied == 0 => {
                    return Err(bulk::missing_header::<v1::PushMessage>());
                }
                // A chunk of a push that was complete without it: sent again, or sent twice.
                Some(Item::Chunk | Item::End | Item::Acknowledged(_)) => (),
                None => return Ok(None),
            }
        }
    }
}
