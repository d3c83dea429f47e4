//! The data plane's calls, but for the bulk ones: their gate and their weights only.

use super::{Service, status};
use ps_core::gate::GateDecision;
use ps_core::ids::Clock;
use ps_core::shard::{Puller, WorkerCounts};
use ps_proto::convert::check_protocol;
use ps_proto::convert::data::shard_counters;
use ps_proto::convert::membership::Alive;
use ps_proto::v1;
use ps_proto::v1::data_plane_server::DataPlane;
use std::ops::Range;
use std::time::Duration;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

#[tonic::async_trait]
impl DataPlane for Service {
    type InitStream = BoxStream<v1::InitReply>;

    async fn init(
        &self,
        _: Request<Streaming<v1::InitMessage>>,
    ) -> Result<Response<Self::InitStream>, Status> {
        Err(taken_before())
    }

    async fn applied(
        &self,
        request: Request<v1::AppliedRequest>,
    ) -> Result<Response<v1::AppliedReply>, Status> {
        let request = request.into_inner();
        self.check_job(&request.job)?;
        self.check_shard(request.shard)?;
        let runs = self.shard.applied(&request.try_into()?);
        let run = |run: Range<u32>| v1::ChunkRun { first: run.start, chunks: run.len() as u32 };
        Ok(Response::new(v1::AppliedReply { chunks: runs.into_iter().map(run).collect() }))
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
            workers: self.shard.worker_counts().into_iter().map(worker_count).collect(),
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
        let has_active_workers = self.shard.has_active_workers(self.clock.now());
        Ok(Response::new(v1::AliveReply { has_active_workers }))
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
}

/// The bulk calls never come here: `bulk.rs` answers them ahead of the generated service.
fn taken_before() -> Status {
    Status::internal("a bulk call that nobody took")
}

fn worker_count((worker, counts): (u32, WorkerCounts)) -> v1::WorkerCount {
    let WorkerCounts { steps, chunks_refused } = counts;
    v1::WorkerCount { worker, steps, chunks_refused }
}
