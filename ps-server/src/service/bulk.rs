//! The bulk calls, ahead of the generated service: see `ps_proto::bulk` for why.

use super::{Service, status};
use crate::shard::Error as PushError;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use ps_core::limits::{BULK_HEADER_BYTES_MAX, MESSAGE_BYTES_MAX, PUSH_CHUNK_WAIT_MS_MAX};
use ps_core::window::Acknowledgement;
use ps_proto::bulk::{self, BulkReader, Item, MessageReader, Pieces};
use ps_proto::convert::Error;
use ps_proto::convert::data::{Puller, PushStart, check_pull, push_reply};
use ps_proto::v1;
use ps_proto::v1::data_plane_server::DataPlaneServer;
use ps_proto::v1::push_pull_message::Kind;
use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, BoxStream, Bytes};
use tonic::server::NamedService;

type Answer = Result<Response<Body>, Status>;

/// The data plane: pushes and pulls by hand, the other calls by the generated service.
#[derive(Clone)]
pub(crate) struct DataPlaneCalls {
    service: Service,
    others: DataPlaneServer<Service>,
}

impl DataPlaneCalls {
    pub(crate) fn new(service: Service) -> Self {
        let others = DataPlaneServer::new(service.clone());
        Self { service, others: others.max_decoding_message_size(MESSAGE_BYTES_MAX) }
    }
}

impl NamedService for DataPlaneCalls {
    const NAME: &'static str = <DataPlaneServer<Service> as NamedService>::NAME;
}

impl tonic::codegen::Service<Request<Body>> for DataPlaneCalls {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = self.service.clone();
        match request.uri().path() {
            bulk::PUSH => answered(async move { service.answer_push(request).await }),
            bulk::PULL => answered(async move { service.answer_pull(request).await }),
            bulk::PUSH_PULL => answered(async move { service.answer_push_pull(request).await }),
            _ => self.others.call(request),
        }
    }
}

fn answered(
    answer: impl Future<Output = Answer> + Send + 'static,
) -> BoxFuture<Response<Body>, Infallible> {
    Box::pin(async move { Ok(answer.await.unwrap_or_else(Status::into_http)) })
}

impl Service {
    async fn answer_push(&self, request: Request<Body>) -> Answer {
        let (_, acknowledgement, duplicate) = self.take_push(request).await?;
        let reply = push_reply(&acknowledgement, duplicate).pieces();
        Ok(bulk::response(Box::pin(stream::iter([Ok(reply)]))))
    }

    async fn answer_pull(&self, request: Request<Body>) -> Answer {
        let mut messages = MessageReader::of_request(request, BULK_HEADER_BYTES_MAX)?;
        let request: v1::PullRequest = in_time(messages.only_message()).await?;
        self.check_job(&request.job)?;
        self.check_shard(request.shard)?;
        check_pull(&request)?;
        let puller = request.puller.map(Puller::try_from);
        // The answer begins at once, so that the caller knows that it waits at the gate and not
        // for a server that died.
        Ok(bulk::response(self.weights_for(request.epoch, puller, Pieces::pieces)))
    }

    async fn answer_push_pull(&self, request: Request<Body>) -> Answer {
        let (start, acknowledgement, duplicate) = self.take_push(request).await?;
        let wrap = |kind| v1::PushPullMessage { kind: Some(kind) }.pieces();
        let first = wrap(Kind::Push(push_reply(&acknowledgement, duplicate)));
        let (worker, incarnation) = (start.id.worker, start.id.incarnation);
        // What of this worker is applied here, the push itself has told.
        let (clock, ahead) = (start.clock.saturating_add(1), start.pull_ahead);
        let puller = Puller { worker, incarnation, clock, finished_clock: 0, ahead };
        let weights =
            self.weights_for(start.epoch, Some(Ok(puller)), move |pull| wrap(Kind::Pull(pull)));
        // The acknowledgement leaves at once; the weights follow when the gate opens.
        Ok(bulk::response(Box::pin(stream::iter([Ok(first)]).chain(weights))))
    }

    /// The weights in pieces, once the gate is open for the puller, if it is one.
    fn weights_for(
        &self,
        epoch: u64,
        puller: Option<Result<Puller, Error>>,
        pieces: impl Fn(v1::PullMessage) -> Vec<Bytes> + Send + Sync + Copy + 'static,
    ) -> BoxStream<Vec<Bytes>> {
        let service = self.clone();
        let weights = stream::once(async move {
            let clock = match puller {
                None => 0,
                Some(puller) => service.wait_for_gate(epoch, puller?).await?,
            };
            service.weights(clock)
        });
        Box::pin(weights.flat_map(move |messages| match messages {
            Ok(messages) => stream::iter(messages.map(move |message| Ok(pieces(message)))).boxed(),
            Err(status) => stream::iter([Err(status)]).boxed(),
        }))
    }

    /// Applies a push as it arrives, chunk by chunk.
    async fn take_push(
        &self,
        request: Request<Body>,
    ) -> Result<(PushStart, Acknowledgement, bool), Status> {
        let messages = MessageReader::of_request(request, MESSAGE_BYTES_MAX)?;
        let mut messages = BulkReader::<v1::PushMessage>::new(messages);
        let Some(Item::Header(header)) = in_time(messages.next()).await? else {
            return Err(Error::Missing { message: "PushMessage", field: "header" }.into());
        };
        self.check_job(&header.job)?;
        self.check_shard(header.shard)?;
        let start = PushStart::try_from(header)?;
        let refused = |error: PushError| status::push(&error, self.shard.epoch());
        let mut push = self.shard.begin(start.clone(), self.clock.now()).map_err(refused)?;
        while !push.was_finished() {
            match in_time(messages.next()).await? {
                None => break,
                // Only the first message's header counts.
                Some(Item::Header(_) | Item::End) => (),
                Some(Item::Chunk) => {
                    let mut room = self.buffers.take().await?;
                    let chunk = in_time(messages.chunk(&mut room)).await?;
                    self.shard.counters().bytes_received.add(chunk.bytes as u64);
                    push.take(&chunk, &room[..chunk.bytes]).map_err(refused)?;
                }
            }
        }
        let (acknowledgement, duplicate) = push.finish().map_err(refused)?;
        Ok((start, acknowledgement, duplicate))
    }
}

/// What a caller sends next, within the time that it has for it.
async fn in_time<T>(next: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let longest = Duration::from_millis(PUSH_CHUNK_WAIT_MS_MAX);
    let late = |_| Status::deadline_exceeded(format!("nothing came for {longest:?}"));
    tokio::time::timeout(longest, next).await.map_err(late)?
}
