//! The bulk calls, ahead of the generated service: see `ps_proto::bulk` for why.

use super::Service;
use super::applied::Applied;
use super::pushes::{Pushes, in_time};
use super::weights::{Disconnected, Weights, bare, wrapped};
use futures_util::stream;
use http::{Request, Response};
use ps_core::ids::Clock;
use ps_core::limits::BULK_HEADER_BYTES_MAX;
use ps_core::shard::{Puller, PushHeader};
use ps_proto::bulk::{self, MessageReader, Pieces};
use ps_proto::convert::data::PullRequest;
use ps_proto::v1;
use ps_proto::v1::data_plane_server::DataPlaneServer;
use ps_proto::v1::push_pull_message::Kind;
use ps_runtime::requests::{Bounded, RequestBudget};
use ps_runtime::transport::ConnectionHandle;
use std::convert::Infallible;
use std::task::{Context, Poll};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::NamedService;

type Answer = Result<Response<Body>, Status>;

/// The data plane: starts, pushes and pulls by hand, the other calls by the generated service.
#[derive(Clone)]
pub(crate) struct DataPlaneCalls {
    service: Service,
    others: Bounded<DataPlaneServer<Service>>,
}

impl DataPlaneCalls {
    pub(crate) fn new(service: Service, budget: &RequestBudget) -> Self {
        let others = DataPlaneServer::new(service.clone());
        Self { service, others: budget.bounded(others, BULK_HEADER_BYTES_MAX) }
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
            bulk::INIT => answered(async move { service.answer_init(request).await }),
            bulk::PUSH => answered(async move { service.answer_push(request).await }),
            bulk::PUSH_MANY => answered(async move { service.answer_push_many(request) }),
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
        let reply = self.take_push(self.pushes(request)?).await?.pieces();
        Ok(bulk::response(Box::pin(stream::iter([Ok(reply)]))))
    }

    async fn answer_pull(&self, request: Request<Body>) -> Answer {
        let connection = request.extensions().get().cloned();
        let mut messages = MessageReader::of_request(request, BULK_HEADER_BYTES_MAX)?;
        let request: v1::PullRequest = in_time(messages.only_message()).await?;
        self.check_job(&request.job)?;
        self.check_shard(request.shard)?;
        connection.iter().for_each(ConnectionHandle::known);
        let PullRequest { epoch, puller, encoding, has_start } = request.try_into()?;
        let service = self.clone();
        // The answer begins at once, so that the caller knows that it waits at the gate and not
        // for a server that died.
        let reader = self.reader(connection, bare, encoding);
        Ok(Weights::answer(reader, |weights| async move {
            let clock = match puller {
                None => Ok(0),
                Some(puller) => weights.while_waiting(service.wait_for_gate(epoch, puller)).await,
            };
            let _ = service.send_weights(&weights, clock, has_start).await;
        }))
    }

    async fn answer_push_pull(&self, request: Request<Body>) -> Answer {
        let connection = request.extensions().get().cloned();
        let mut pushes = self.pushes(request)?;
        let header = self.push_header(&mut pushes).await?;
        let service = self.clone();
        let reader = self.reader(connection, wrapped, header.pull_encoding);
        Ok(Weights::answer(reader, |weights| async move {
            if let Err(status) = service.push_and_pull(pushes, header, &weights).await {
                let _ = weights.send(Err(status)).await;
            }
        }))
    }

    /// Applies a push and sends the weights for the next step: each chunk right after it was
    /// applied, while it is hot in the cache, where the gate is open already.
    async fn push_and_pull(
        &self,
        mut pushes: Pushes,
        header: PushHeader,
        weights: &Weights,
    ) -> Result<(), Status> {
        let (worker, incarnation, epoch) = (header.id.worker, header.id.incarnation, header.epoch);
        let (clock, ahead) = (header.clock.saturating_add(1), header.pull_ahead);
        let has_start = header.has_start;
        // What of this worker is applied here, the push itself has told.
        let puller = Puller { worker, incarnation, clock, finished_clock: 0, ahead };
        let mut push = self.begin(header).await?;
        let model = self.model()?;
        let open = push.check_gate(&puller, self.clock.now());
        let mut is_behind = open.is_none();
        if let Some(clock) = open {
            let header = self.pull_header(clock, model.chunks().len());
            is_behind = weights.header(header).await.is_err();
        }
        let mut applied = Applied::new(self, weights, model);
        while let Some(run) = self.take_run(&mut pushes, &mut push).await? {
            if !is_behind {
                applied.add(run);
            }
        }
        let kind = Kind::Push(self.finish(push)?);
        weights.while_waiting(self.is_durable()).await?;
        let reply = v1::PushPullMessage { kind: Some(kind) }.pieces();
        if weights.send(Ok(reply)).await.is_err() {
            return Ok(());
        }
        if open.is_some() {
            let _ = self.send_chunks(weights, &applied.into_sent(), has_start).await;
            return Ok(());
        }
        let clock = weights.while_waiting(self.wait_for_gate(epoch, puller)).await;
        let _ = self.send_weights(weights, clock, has_start).await;
        Ok(())
    }

    /// Sends the header and all chunks, or why there are none.
    async fn send_weights(
        &self,
        weights: &Weights,
        clock: Result<Clock, Status>,
        has_start: bool,
    ) -> Result<(), Disconnected> {
        match clock.and_then(|clock| Ok((clock, self.model()?.chunks().len()))) {
            Ok((clock, chunks)) => {
                weights.header(self.pull_header(clock, chunks)).await?;
                self.send_chunks(weights, &vec![false; chunks], has_start).await
            }
            Err(status) => weights.send(Err(status)).await,
        }
    }

    /// Sends the chunks that are not sent yet; not those that no push has changed, where the caller has what they
    /// were at the start. The gate is open: what it let through is in the versions.
    async fn send_chunks(
        &self,
        weights: &Weights,
        is_sent: &[bool],
        has_start: bool,
    ) -> Result<(), Disconnected> {
        let Ok(model) = self.model() else { return Ok(()) };
        // Who pulled from a process before this one has later values of what no push has changed here.
        let has_start = has_start && !self.shard.may_be_behind();
        let is_held = |index: usize| has_start && model.chunks()[index].lock().version() == 0;
        let left = (0..is_sent.len()).filter(|&index| !is_sent[index] && !is_held(index));
        let left: Vec<usize> = left.collect();
        let mut left = left.as_slice();
        while !left.is_empty() {
            left = weights.chunks(self, &model, left).await?;
        }
        Ok(())
    }

    fn pull_header(&self, clock: Clock, chunks: usize) -> v1::PullHeader {
        v1::PullHeader { epoch: self.shard.epoch(), clock, chunks_total: chunks as u32 }
    }
}
