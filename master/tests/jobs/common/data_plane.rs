//! What the master reads of a fake shard: what it is, and its weights.

use super::{FakeShard, Replies, layout, settings, weights};
use ps_proto::v1;
use ps_proto::v1::data_plane_server::DataPlane;
use tonic::{Request, Response, Status, Streaming};

#[tonic::async_trait]
impl DataPlane for FakeShard {
    type InitStream = Replies<v1::InitReply>;
    type PullStream = Replies<v1::PullMessage>;
    type PushPullStream = Replies<v1::PushPullMessage>;
    type PushManyStream = Replies<v1::PushManyReply>;

    async fn init(
        &self,
        _: Request<Streaming<v1::InitMessage>>,
    ) -> Result<Response<Self::InitStream>, Status> {
        Err(Status::unimplemented("fake"))
    }

    async fn applied(
        &self,
        _: Request<v1::AppliedRequest>,
    ) -> Result<Response<v1::AppliedReply>, Status> {
        Err(Status::unimplemented("fake"))
    }

    async fn describe(
        &self,
        _: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeReply>, Status> {
        let spec = settings(1).model_spec(&layout(), self.shards);
        let weight_bytes = 4 * spec.partition().range(self.shard).len() as u64;
        Ok(Response::new(v1::DescribeReply {
            shard: self.shard,
            model: Some((&spec).into()),
            counters: Some(v1::ShardCounters { weight_bytes, ..v1::ShardCounters::default() }),
            ..v1::DescribeReply::default()
        }))
    }

    async fn push(
        &self,
        _: Request<Streaming<v1::PushMessage>>,
    ) -> Result<Response<v1::PushReply>, Status> {
        Err(Status::unimplemented("fake"))
    }

    async fn push_many(
        &self,
        _: Request<Streaming<v1::PushMessage>>,
    ) -> Result<Response<Self::PushManyStream>, Status> {
        Err(Status::unimplemented("fake"))
    }

    async fn pull(
        &self,
        _: Request<v1::PullRequest>,
    ) -> Result<Response<Self::PullStream>, Status> {
        let spec = settings(1).model_spec(&layout(), self.shards);
        let all = weights();
        let values = |range: std::ops::Range<usize>| {
            let bytes: Vec<u8> = all[range].iter().flat_map(|w| w.to_le_bytes()).collect();
            bytes.into()
        };
        let partition = spec.partition();
        let first = partition.run(self.shard).start;
        let chunks = (first..).zip(partition.chunks(self.shard));
        let header = v1::PullMessage { header: Some(Default::default()), chunks: Vec::new() };
        let messages = chunks.map(|(index, range)| v1::PullMessage {
            header: None,
            chunks: vec![v1::ChunkValues { index, chunks: 1, version: 1, values: values(range) }],
        });
        let messages: Vec<_> = std::iter::once(header).chain(messages).map(Ok).collect();
        Ok(Response::new(Box::pin(futures_util::stream::iter(messages))))
    }

    async fn push_pull(
        &self,
        _: Request<Streaming<v1::PushMessage>>,
    ) -> Result<Response<Self::PushPullStream>, Status> {
        Err(Status::unimplemented("fake"))
    }

    async fn alive(
        &self,
        _: Request<v1::AliveRequest>,
    ) -> Result<Response<v1::AliveReply>, Status> {
        Err(Status::unimplemented("fake"))
    }
}
