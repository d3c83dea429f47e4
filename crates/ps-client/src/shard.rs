//! The calls to one shard.

mod init;
mod pull;
mod push;
mod retry;
mod route;
mod small;

use crate::chunks::PushChunks;
use crate::config::ClientState;
use crate::error::Error;
use ps_core::TensorKind;
use ps_core::ids::{Clock, PushId, Seq};
use ps_core::limits::{MESSAGE_BYTES_MAX, MESSAGE_PAYLOAD_BYTES};
use ps_core::model_spec::ModelSpec;
use ps_core::shard::OtherModel;
use ps_proto::convert::data::ChunkPayload;
use ps_proto::v1::data_plane_client::DataPlaneClient;
use ps_proto::{PROTOCOL, v1};
use ps_runtime::Outside;
use ps_runtime::progress::Progress;
use route::{Route, Way};
use small::SmallPushes;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tonic::transport::Channel;

/// The step that a worker pulls for.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) clock: Clock,
    /// Every push of a step below it is acknowledged.
    pub(crate) finished: Clock,
    /// The weights are for the steps up to so many after it.
    pub(crate) ahead: u32,
}

/// One push's part for one shard: the same on every attempt, except for the epoch.
#[derive(Clone)]
pub(crate) struct PushCall {
    pub(crate) id: PushId,
    pub(crate) oldest: Seq,
    pub(crate) clock: Clock,
    pub(crate) learning_rate: f32,
    pub(crate) loss: f32,
    pub(crate) kind: TensorKind,
    pub(crate) chunks: PushChunks,
    /// How many chunks the whole push has, whichever of them an attempt sends.
    pub(crate) chunks_total: u32,
    /// Steps between this one and the next whose weights a pull with it brings.
    pub(crate) pull_ahead: u32,
    /// Of such a pull: whether chunks that are what they were at the start may be left out.
    pub(crate) has_start: bool,
}

/// The connection to one shard.
pub(crate) struct ShardClient {
    shard: u32,
    route: Route,
    small: SmallPushes,
    state: Arc<ClientState>,
    /// Whether people were told that this server is waited for.
    told: AtomicBool,
}

impl ShardClient {
    pub(crate) fn new(
        shard: u32,
        address: &str,
        state: Arc<ClientState>,
        outside: &Outside,
    ) -> Result<Self, Error> {
        let route = Route::new(shard, address, state.config.shard_map.clone(), outside)?;
        let (small, told) = (SmallPushes::default(), AtomicBool::new(false));
        Ok(Self { shard, route, small, state, told })
    }

    /// How the shard is reached now.
    fn way(&self) -> Way {
        let (way, is_new) = self.route.way();
        if is_new {
            // It goes to where the server was.
            self.small.end();
        }
        way
    }

    pub(crate) async fn describe(&self) -> Result<v1::DescribeReply, Error> {
        let job = &self.state.config.job;
        self.retry(&Progress::default(), |channel| {
            let request = v1::DescribeRequest { job: job.clone(), protocol: PROTOCOL };
            async move { Ok(client(channel).describe(request).await?.into_inner()) }
        })
        .await
    }

    /// Checks that the server holds this model, if it holds one.
    pub(crate) async fn check_model(&self, spec: &ModelSpec) -> Result<(), Error> {
        let Some(held) = self.describe().await?.model else {
            return Ok(());
        };
        let difference = match ModelSpec::try_from(held) {
            Ok(held) => spec.difference(&held),
            Err(error) => Some(error.to_string()),
        };
        let refused = |difference| Error::Refused {
            shard: self.shard,
            address: self.way().link.address().to_owned(),
            message: OtherModel(difference).to_string(),
        };
        difference.map_or(Ok(()), |difference| Err(refused(difference)))
    }

    pub(crate) async fn alive(&self, leaving: bool) -> bool {
        let config = &self.state.config;
        let request = v1::AliveRequest {
            job: config.job.clone(),
            shard: self.shard,
            worker: config.worker,
            incarnation: config.incarnation,
            leaving,
            protocol: PROTOCOL,
        };
        let mut client = client(self.way().link.channel());
        let answer = tokio::time::timeout(config.attempt, client.alive(request)).await;
        matches!(answer, Ok(Ok(reply)) if reply.get_ref().has_active_workers)
    }
}

fn client(channel: Channel) -> DataPlaneClient<Channel> {
    DataPlaneClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// Payloads grouped into messages; at least one, for the header.
fn grouped(
    mut payloads: impl Iterator<Item = ChunkPayload>,
) -> impl Iterator<Item = Vec<v1::ChunkPayload>> {
    let mut first = true;
    std::iter::from_fn(move || {
        let (mut group, mut bytes) = (Vec::new(), 0);
        while bytes < MESSAGE_PAYLOAD_BYTES {
            let Some(payload) = payloads.next() else {
                break;
            };
            bytes += payload.bytes();
            group.push(payload.into());
        }
        let again = std::mem::replace(&mut first, false) || !group.is_empty();
        again.then_some(group)
    })
}
