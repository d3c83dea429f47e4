//! The master's calls: who is in the job, and checkpoints.

use super::told::Replies;
use super::{Service, status};
use ps_proto::convert::checkpoint::RestoreRequest;
use ps_proto::convert::membership::MembershipUpdate;
use ps_proto::v1;
use ps_proto::v1::shard_control_server::ShardControl;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl ShardControl for Service {
    async fn set_membership(
        &self,
        request: Request<v1::MembershipRequest>,
    ) -> Result<Response<v1::MembershipReply>, Status> {
        let request = request.into_inner();
        self.check_job(&request.job)?;
        self.check_shard(request.shard)?;
        let MembershipUpdate { epoch, life, revision, members } = request.try_into()?;
        self.shard
            .set_members(epoch, life, revision, &members, self.clock.now())
            .map_err(|error| status::fenced(&error, self.shard.epoch()))?;
        // Before there is a model nobody can change it.
        if self.shard.model().is_some() {
            self.is_durable().await?;
        }
        tracing::debug!("membership revision {revision} of epoch {epoch}: {members:?}");
        Ok(Response::new(v1::MembershipReply { revision, token: self.token }))
    }

    async fn prepare_cut(
        &self,
        request: Request<v1::PrepareCutRequest>,
    ) -> Result<Response<v1::PrepareCutReply>, Status> {
        // It looks into a folder.
        let (service, request) = (self.clone(), request.into_inner());
        let begun = self.at_home(async move { service.begun_pushes(request).await });
        Ok(Response::new(begun.await?))
    }

    type SnapshotStream = Replies<v1::SnapshotReply>;

    async fn snapshot(
        &self,
        request: Request<v1::SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        let (service, request) = (self.clone(), request.into_inner());
        self.check_job(&request.job)?;
        let written = async move { service.write_snapshot(request).await };
        let news = |bytes| v1::SnapshotReply { file: None, bytes };
        Ok(Response::new(self.told(written, news)))
    }

    type RestoreStream = Replies<v1::RestoreReply>;

    async fn restore(
        &self,
        request: Request<v1::RestoreRequest>,
    ) -> Result<Response<Self::RestoreStream>, Status> {
        let request = request.into_inner();
        let (epoch, life) = (request.epoch, request.life);
        let (job, shard) = (request.job.clone(), request.shard);
        // At once: as it was decoded, it may take much more than what it means.
        let restore = RestoreRequest::try_from(request)?;
        self.admit_master(&job, shard, epoch, life)?;
        let service = self.clone();
        let restored = async move { service.restore_checkpoint(epoch, life, restore).await };
        let news = |bytes| v1::RestoreReply { bytes, ..v1::RestoreReply::default() };
        Ok(Response::new(self.told(restored, news)))
    }
}
