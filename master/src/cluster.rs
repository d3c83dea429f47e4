//! The servers of one epoch, as calls to them need them.

use futures_util::future::try_join_all;
use ps_core::limits::CONTROL_MESSAGE_BYTES_MAX;
use ps_proto::v1::shard_control_client::ShardControlClient;
use ps_runtime::link::Link;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Channel;

/// What every call to a shard needs.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) job: String,
    pub(crate) epoch: u64,
    /// In the order of the shards.
    pub(crate) links: Vec<Arc<Link>>,
    pub(crate) lease: Duration,
}

impl Cluster {
    /// Calls all shards at once; the answers in their order, or the first failure.
    pub(crate) async fn on_all<'a, T, E, F>(
        &'a self,
        call: impl Fn(u32, &'a Link) -> F,
    ) -> Result<Vec<T>, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let shards = (0..).zip(&self.links);
        try_join_all(shards.map(|(shard, link)| call(shard, link))).await
    }
}

/// A client for what only the master may tell a shard.
pub(crate) fn shard_control(channel: Channel) -> ShardControlClient<Channel> {
    ShardControlClient::new(channel).max_decoding_message_size(CONTROL_MESSAGE_BYTES_MAX)
}
