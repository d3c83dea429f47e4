//! Pushes to one shard.

use super::retry::Failure;
use super::small::SmallCall;
use super::{PushCall, ShardClient, client, grouped};
use crate::error::Error;
use crate::report::PushReport;
use futures_util::StreamExt;
use ps_core::TensorKind;
use ps_core::limits::SMALL_PUSH_BYTES_MAX;
use ps_kernels::encoding::Encoding;
use ps_proto::bulk::{self, MessageReader};
use ps_proto::{PROTOCOL, v1};
use ps_runtime::bulk::{call, flow};
use ps_runtime::progress::Progress;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use tonic::transport::Channel;
use tonic::{Code, Status};

impl ShardClient {
    pub(crate) async fn push(&self, push: PushCall) -> Result<PushReport, Error> {
        let mut again = true;
        if push.chunks.bytes() <= SMALL_PUSH_BYTES_MAX {
            push.chunks.complete().await;
            if let Some(report) = self.push_small(&push).await {
                return Ok(report);
            }
            self.state.traffic.retries.fetch_add(1, Ordering::Relaxed);
        } else if push.chunks.is_complete() {
            again = false;
        } else {
            match self.push_early(&push).await {
                Ok(report) => return Ok(report),
                Err(failure) if failure.is_final => return Err(failure.error),
                Err(failure) => self.was_late(&push, &failure.status),
            }
        }
        self.push_alone(push, again).await
    }

    /// A server that gave up waiting for the rest of a push would do so in every step.
    pub(super) fn was_late(&self, push: &PushCall, status: &Status) {
        if status.code() == Code::DeadlineExceeded && !push.chunks.is_complete() {
            tracing::info!(
                "computing takes long: from now on gradients are sent when all is there"
            );
            self.state.sends_early.store(false, Ordering::Relaxed);
        }
    }

    /// The first attempt of a push whose gradient is still computed.
    async fn push_early(&self, push: &PushCall) -> Result<PushReport, Failure> {
        self.once(|channel| {
            let progress = Progress::default();
            let call = self.send(channel, bulk::PUSH, push, &progress);
            async move {
                let reply = async { call.await?.only_message().await };
                Ok(PushReport::from(&self.while_it_moves(push, &progress, reply).await?))
            }
        })
        .await
    }

    /// Pushes on calls of its own, when all of it is there; `again` after an attempt that failed. What
    /// of it the shard has is not sent again.
    pub(super) async fn push_alone(
        &self,
        push: PushCall,
        mut again: bool,
    ) -> Result<PushReport, Error> {
        push.chunks.complete().await;
        let (progress, most) = (Progress::default(), AtomicUsize::new(0));
        let attempt = |channel: Channel| {
            let again = std::mem::replace(&mut again, true);
            let (push, progress, most) = (&push, &progress, &most);
            async move {
                let applied =
                    if again { self.applied(channel.clone(), push).await? } else { Vec::new() };
                let count = applied.iter().map(ExactSizeIterator::len).sum();
                if most.fetch_max(count, Ordering::Relaxed) < count {
                    progress.advanced();
                }
                let left = PushCall { chunks: push.chunks.without(&applied), ..push.clone() };
                let mut reply = self.send(channel, bulk::PUSH, &left, progress).await?;
                reply.only_message().await
            }
        };
        self.retry(&progress, attempt).await.map(|reply| PushReport::from(&reply))
    }

    /// The chunks of a push that the shard has applied, or refused, already.
    async fn applied(&self, channel: Channel, push: &PushCall) -> Result<Vec<Range<u32>>, Status> {
        let request = v1::AppliedRequest {
            job: self.state.config.job.clone(),
            shard: self.shard,
            id: Some(push.id.into()),
            protocol: PROTOCOL,
        };
        let reply = client(channel).applied(request).await?.into_inner();
        let run = |run: v1::ChunkRun| run.first..run.first.saturating_add(run.chunks);
        Ok(reply.chunks.into_iter().map(run).collect())
    }

    /// Pushes on the shared call; `None` when that failed.
    async fn push_small(&self, push: &PushCall) -> Option<PushReport> {
        let message = self.messages(push).next()?;
        let open = || SmallCall::start(self.way(), self.state.config.attempt);
        self.small.push(push.id.seq, message, open).await
    }

    /// Waits for the answer to a push as long as something moves; while it is still computed, nothing
    /// has to.
    pub(super) async fn while_it_moves<T>(
        &self,
        push: &PushCall,
        progress: &Progress,
        step: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let mut step = std::pin::pin!(step);
        tokio::select! {
            biased;
            done = &mut step => return done,
            () = push.chunks.complete() => (),
        }
        progress.limit(self.state.config.attempt, step).await
    }

    /// Sends a push: chunk after chunk as they are computed, or all of them, each made while those
    /// before are under way.
    pub(super) fn send(
        &self,
        channel: Channel,
        path: &'static str,
        push: &PushCall,
        progress: &Progress,
    ) -> impl Future<Output = Result<MessageReader, Status>> + Send + use<> {
        let progress = progress.clone();
        let (complete, arriving) = match push.chunks.arriving() {
            None => (Some(self.messages(push)), None),
            Some(groups) => {
                let mut header = Some(self.header(push));
                let message = move |chunks| v1::PushMessage { header: header.take(), chunks };
                (None, Some(groups.map(message)))
            }
        };
        async move {
            match arriving {
                Some(messages) => flow(channel, path, messages, &progress).await,
                None => call(channel, path, complete.into_iter().flatten(), &progress).await,
            }
        }
    }

    /// A push that is complete, as it is sent.
    fn messages(
        &self,
        push: &PushCall,
    ) -> impl Iterator<Item = v1::PushMessage> + Send + Unpin + use<> {
        let mut header = Some(self.header(push));
        let chunks = push.chunks.payloads();
        grouped(chunks).map(move |chunks| v1::PushMessage { header: header.take(), chunks })
    }

    fn header(&self, push: &PushCall) -> v1::PushHeader {
        let bytes = push.chunks.bytes() as u64;
        self.state.traffic.bytes_pushed.fetch_add(bytes, Ordering::Relaxed);
        let wire = self.state.config.wire;
        let (kind, encoding) = match push.kind {
            TensorKind::Trainable => (v1::TensorKind::Trainable, wire.push),
            TensorKind::State => (v1::TensorKind::State, Encoding::F32),
        };
        v1::PushHeader {
            job: self.state.config.job.clone(),
            shard: self.shard,
            id: Some(push.id.into()),
            oldest_unacknowledged_seq: push.oldest,
            epoch: self.state.epoch(),
            clock: push.clock,
            learning_rate: push.learning_rate,
            loss: push.loss,
            kind: kind.into(),
            chunks_total: push.chunks_total,
            encoding: v1::Encoding::from(encoding).into(),
            pull_encoding: v1::Encoding::from(wire.pull).into(),
            pull_ahead: push.pull_ahead,
            // Numbered before the gradient's, which is the last of a step.
            more_in_step: push.kind == TensorKind::State,
            protocol: PROTOCOL,
            has_start: push.has_start,
        }
    }
}
