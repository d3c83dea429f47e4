//! The data plane's calls, but for the bulk ones: their gate and their weights only.

use super::{Service, status};
use ps_core::gate::GateDecision;
use ps_core::ids::Clock;
use ps_core::limits::PUSH_CHUNK_WAIT_MS_MAX;
use ps_core::model_spec::ModelSpec;
use ps_core::shard::{InitError, InitialWeights, Puller};
use ps_proto::convert::check_protocol;
use ps_proto::convert::data::{ELEMENT_BYTES, shard_counters};
use ps_proto::convert::init::{InitChunk, InitHeader, take_header};
use ps_proto::convert::membership::Alive;
use ps_proto::v1;
use ps_proto::v1::data_plane_server::DataPlane;
use std::time::Duration;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

#[tonic::async_trait]
impl DataPlane for Service {
    async fn init(
        &self,
        request: Request<Streaming<v1::InitMessage>>,
    ) -> Result<Response<v1::InitReply>, Status> {
        let mut messages = request.into_inner();
        let mut message = next(&mut messages).await?;
        let header = take_header(message.as_mut())?;
        self.check_job(&header.job)?;
        self.check_shard(header.shard)?;
        let InitHeader { epoch, worker, incarnation, model, start_digest, any_start } =
            header.try_into()?;
        let check = || {
            let checked = self.shard.check_start(epoch, worker, incarnation);
            checked.map_err(|error| status::fenced(&error, self.shard.epoch()))
        };
        check()?;
        let digest = (!any_start).then_some(start_digest);
        if let Some(reply) = self.already_initialised(&model, digest)? {
            return Ok(Response::new(reply));
        }
        // One start at a time, so that many workers at once do not each make the server hold one.
        let _turn = self.initialising.lock().await;
        if let Some(reply) = self.already_initialised(&model, digest)? {
            return Ok(Response::new(reply));
        }
        let shard = self.shard.index();
        let description = describe(&model, shard);
        let mut initial = InitialWeights::new(shard, model, start_digest);
        let invalid = |error: InitError| Status::invalid_argument(error.to_string());
        while let Some(part) = message {
            for chunk in part.chunks {
                let InitChunk { index, values } = chunk.try_into()?;
                self.shard.counters().bytes_received.add(values.len() as u64);
                initial.add(index, &values).map_err(invalid)?;
            }
            message = next(&mut messages).await?;
        }
        // Its life may have ended while it sent.
        check()?;
        self.shard.install(initial.finish().map_err(invalid)?);
        tracing::info!("shard {shard} holds {description}");
        Ok(Response::new(v1::InitReply { created: true }))
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeReply>, Status> {
        let request = request.into_inner();
        check_protocol("DescribeRequest", request.protocol)?;
        self.check_job(&request.job)?;
        let model = self.shard.model();
        let weight_bytes = model.map_or(0, |model| model.weight_bytes());
        Ok(Response::new(v1::DescribeReply {
            shard: self.shard.index(),
            epoch: self.shard.epoch(),
            model: model.map(|model| (&model.spec).into()),
            counters: Some(shard_counters(self.shard.counters(), weight_bytes)),
            version_sum: model.map_or(0, |model| model.version_sum()),
            has_master: self.shard.is_managed(),
        }))
    }

    async fn push(
        &self,
        _: Request<Streaming<v1::PushMessage>>,
    ) -> Result<Response<v1::PushReply>, Status> {
        Err(taken_before())
    }

    type PushManyStream = BoxStream<v1::PushManyReply>;

    async fn push_many(
        &self,
        _: Request<Streaming<v1::PushMessage>>,
    ) -> Result<Response<Self::PushManyStream>, Status> {
        Err(taken_before())
    }

    type PullStream = BoxStream<v1::PullMessage>;

    async fn pull(
        &self,
        _: Request<v1::PullRequest>,
    ) -> Result<Response<Self::PullStream>, Status> {
        Err(taken_before())
    }

    type PushPullStream = BoxStream<v1::PushPullMessage>;

    async fn push_pull(
        &self,
        _: Request<Streaming<v1::PushMessage>>,
    ) -> Result<Response<Self::PushPullStream>, Status> {
        Err(taken_before())
    }

    async fn alive(
        &self,
        request: Request<v1::AliveRequest>,
    ) -> Result<Response<v1::AliveReply>, Status> {
        let request = request.into_inner();
        self.check_job(&request.job)?;
        self.check_shard(request.shard)?;
        let Alive { worker, incarnation, leaving } = request.try_into()?;
        if leaving {
            self.shard.leave(worker, incarnation);
        } else {
            self.shard.heard(0, worker, incarnation, self.clock.now());
        }
        Ok(Response::new(v1::AliveReply {}))
    }
}

impl Service {
    /// Waits until the gate is open for this worker's step; the clock that it may then use.
    pub(super) async fn wait_for_gate(&self, epoch: u64, puller: Puller) -> Result<Clock, Status> {
        let mut changes = self.gate_changes.subscribe();
        self.shard.heard(epoch, puller.worker, puller.incarnation, self.clock.now());
        loop {
            changes.borrow_and_update();
            let now = self.clock.now();
            let decision = self.shard.check_gate(epoch, &puller, now);
            match decision.map_err(|error| status::fenced(&error, self.shard.epoch()))? {
                GateDecision::Open { clock } => return Ok(clock),
                GateDecision::Wait { until } => {
                    // A long time stands for never: a change wakes it.
                    let longest = until.map_or(Duration::from_secs(3600), |at| at - now.min(at));
                    let _ = tokio::time::timeout(longest, changes.changed()).await;
                }
            }
        }
    }

    fn already_initialised(
        &self,
        spec: &ModelSpec,
        start_digest: Option<u32>,
    ) -> Result<Option<v1::InitReply>, Status> {
        match self.shard.compare(spec, start_digest) {
            None => Ok(None),
            Some(Ok(())) => Ok(Some(v1::InitReply { created: false })),
            Some(Err(error)) => Err(status::other_model(&error, self.shard.epoch())),
        }
    }
}

/// The bulk calls never come here: `bulk.rs` answers them ahead of the generated service.
fn taken_before() -> Status {
    Status::internal("a bulk call that nobody took")
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
