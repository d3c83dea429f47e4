//! The data plane's calls, but for the bulk ones: their gate and their weights only.

use super::{Service, status};
use crate::shard::Start;
use ps_core::gate::Verdict;
use ps_core::ids::Clock;
use ps_core::limits::{MESSAGE_PAYLOAD_BYTES, PUSH_CHUNK_WAIT_MS_MAX};
use ps_core::model_spec::ModelSpec;
use ps_core::wire::Encoding;
use ps_proto::convert::Error;
use ps_proto::convert::data::{ELEMENT_BYTES, Payload, Puller, check_worker};
use ps_proto::convert::refusal::{self, Reason};
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
        let header = message.as_mut().and_then(|message| message.header.take());
        let header = header.ok_or(Error::Missing { message: "InitMessage", field: "header" })?;
        self.check_job(&header.job)?;
        self.check_shard(header.shard)?;
        self.shard
            .check_epoch(header.epoch)
            .map_err(|error| status::fenced(&error, self.shard.epoch()))?;
        let model = header.model.ok_or(Error::Missing { message: "InitHeader", field: "model" })?;
        let spec = ModelSpec::try_from(model)?;
        let digest = (!header.any_start).then_some(header.start_digest);
        if let Some(created) = self.already_initialised(&spec, digest)? {
            return Ok(Response::new(created));
        }
        // One start at a time, so that many workers at once do not each make the server hold one.
        let _turn = self.initialising.lock().await;
        if let Some(created) = self.already_initialised(&spec, digest)? {
            return Ok(Response::new(created));
        }
        let mut start = Start::new(header.shard, spec.clone(), header.start_digest);
        let invalid = |error: crate::shard::StartError| Status::invalid_argument(error.to_string());
        while let Some(part) = message {
            for chunk in part.chunks {
                let payload = Payload::try_from(chunk)?;
                self.shard.counters().bytes_received.add(payload.values.len() as u64);
                start.add(&payload).map_err(invalid)?;
            }
            message = next(&mut messages).await?;
        }
        let held = start.finish().map_err(invalid)?;
        self.shard.install(held);
        tracing::info!("shard {} holds {}", header.shard, describe(&spec, header.shard));
        Ok(Response::new(v1::InitReply { created: true }))
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeReply>, Status> {
        self.check_job(&request.into_inner().job)?;
        let held = self.shard.held();
        let weight_bytes = held.map_or(0, |held| held.weight_bytes());
        Ok(Response::new(v1::DescribeReply {
            shard: self.shard.index(),
            epoch: self.shard.epoch(),
            model: held.map(|held| (&held.spec).into()),
            counters: Some(self.shard.counters().to_wire(weight_bytes)),
            version_sum: held.map_or(0, |held| held.version_sum()),
            has_master: self.shard.is_managed(),
        }))
    }

    async fn push(
        &self,
        _: Request<Streaming<v1::PushMessage>>,
    ) -> Result<Response<v1::PushReply>, Status> {
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
        let (worker, incarnation) = (request.worker, request.incarnation);
        check_worker("AliveRequest", worker)?;
        if request.leaving {
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
        let mut changes = self.shard.gate_changes();
        self.shard.heard(epoch, puller.worker, puller.incarnation, self.clock.now());
        loop {
            changes.borrow_and_update();
            let now = self.clock.now();
            let verdict = self.shard.check_gate(epoch, &puller, now);
            match verdict.map_err(|error| status::fenced(&error, self.shard.epoch()))? {
                Verdict::Open { clock } => return Ok(clock),
                Verdict::Wait { until } => {
                    // A long time stands for never: a change wakes it.
                    let longest = until.map_or(Duration::from_secs(3600), |at| at - now.min(at));
                    let _ = tokio::time::timeout(longest, changes.changed()).await;
                }
            }
        }
    }

    /// The shard's weights as messages, each chunk read when its message is about to be sent.
    #[allow(clippy::result_large_err)]
    pub(super) fn weights(
        &self,
        clock: Clock,
        encoding: Encoding,
    ) -> Result<impl Iterator<Item = v1::PullMessage> + use<>, Status> {
        let epoch = self.shard.epoch();
        let held = self.shard.held().cloned().ok_or_else(|| {
            let message = format!("shard {} holds no model yet", self.shard.index());
            refusal::status(Reason::NotInitialised, epoch, 0, message)
        })?;
        let shard = self.shard.clone();
        let chunks = held.chunks().len();
        let header = v1::PullHeader { epoch, clock, chunks_total: chunks as u32 };
        let mut header = Some(header);
        let mut index = 0;
        Ok(std::iter::from_fn(move || {
            let header = header.take();
            let (mut message, mut bytes) = (v1::PullMessage { header, chunks: Vec::new() }, 0);
            while index < chunks && bytes < MESSAGE_PAYLOAD_BYTES {
                let values = held.read(index, encoding);
                bytes += values.values.len();
                message.chunks.push(values);
                index += 1;
            }
            shard.counters().bytes_sent.add(bytes as u64);
            (message.header.is_some() || !message.chunks.is_empty()).then_some(message)
        }))
    }

    #[allow(clippy::result_large_err)]
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
