//! Pulls from one shard, by themselves and with a push.

use super::{PushCall, ShardClient, Step};
use crate::error::Error;
use crate::report::PushReport;
use ps_core::ids::Clock;
use ps_kernels::encoding::Encoding;
use ps_proto::bulk::{self, BulkReader};
use ps_proto::{PROTOCOL, v1};
use ps_runtime::bulk::call;
use ps_runtime::progress::Progress;
use ps_runtime::pull::{self, FirstMessage, PartMut, unexpected};
use std::sync::atomic::Ordering;
use tonic::Status;

impl ShardClient {
    /// Pulls for a step, or as a reader. Returns the clock that the shard has for the worker.
    pub(crate) async fn pull(
        &self,
        step: Option<Step>,
        encoding: Encoding,
        part: PartMut<'_>,
    ) -> Result<Clock, Error> {
        let config = &self.state.config;
        let puller = step.map(|step| v1::Puller {
            worker: config.worker,
            incarnation: config.incarnation,
            clock: step.clock,
            finished_clock: step.finished,
            ahead: step.ahead,
        });
        let (part, progress) = (tokio::sync::Mutex::new(part), Progress::default());
        self.retry(&progress, |channel| {
            let request = v1::PullRequest {
                job: config.job.clone(),
                shard: self.shard,
                epoch: self.state.epoch(),
                puller,
                encoding: v1::Encoding::from(encoding).into(),
                protocol: PROTOCOL,
                has_start: false,
            };
            let (part, progress) = (&part, &progress);
            async move {
                let part = &mut *part.lock().await;
                let request = v1::PullRequest { has_start: part.has_start(encoding), ..request };
                let messages = call(channel, bulk::PULL, [request], progress).await?;
                progress.moved();
                let mut messages = BulkReader::new(messages);
                let header = pull::header(&mut messages, progress).await?;
                self.receive(&mut messages, part, encoding, progress, |_| ()).await?;
                Ok(header.clock)
            }
        })
        .await
    }

    /// Pushes, then receives the weights for the next step, or the one so far ahead of it.
    pub(crate) async fn push_pull(
        &self,
        push: PushCall,
        mut part: PartMut<'_>,
    ) -> Result<(PushReport, Clock), Error> {
        let mut pushed = None;
        let encoding = self.state.config.wire.pull;
        let push = PushCall { has_start: part.has_start(encoding), ..push };
        // What of this push is applied there, the shard knows by itself.
        let next = Step { clock: push.clock + 1, finished: 0, ahead: push.pull_ahead };
        let both = self
            .once(|channel| {
                let (push, pushed, part) = (&push, &mut pushed, &mut part);
                let progress = Progress::default();
                let call = self.send(channel, bulk::PUSH_PULL, push, &progress);
                async move {
                    let step = async {
                        let mut replies = BulkReader::of_push_pull(call.await?);
                        let mut acknowledged = |reply| *pushed = Some(PushReport::from(&reply));
                        // The acknowledgement comes ahead of the header where the gate is closed, and
                        // among the weights where it is open.
                        let header = match pull::first(&mut replies, &progress).await? {
                            FirstMessage::Header(header) => header,
                            FirstMessage::Acknowledged(reply) => {
                                acknowledged(reply);
                                pull::header(&mut replies, &progress).await?
                            }
                        };
                        let (replies, acknowledged) = (&mut replies, &mut acknowledged);
                        self.receive(replies, part, encoding, &progress, acknowledged).await?;
                        Ok(header.clock)
                    };
                    let clock = self.while_it_moves(push, &progress, step).await?;
                    match pushed {
                        Some(_) => Ok(clock),
                        None => Err(unexpected("acknowledgement", &"the end of the call")),
                    }
                }
            })
            .await;
        match (pushed, both) {
            (Some(report), Ok(clock)) => Ok((report, clock)),
            (_, Err(failure)) if failure.is_final => Err(failure.error),
            // Something was lost: the same push again under the same id, then a plain pull.
            (pushed, failed) => {
                if let Err(failure) = failed {
                    self.was_late(&push, &failure.status);
                }
                let report = match pushed {
                    Some(report) => report,
                    None => self.push_alone(push, true).await?,
                };
                Ok((report, self.pull(Some(next), encoding, part).await?))
            }
        }
    }

    /// Receives the weights.
    async fn receive(
        &self,
        messages: &mut BulkReader<v1::PullMessage>,
        part: &mut PartMut<'_>,
        encoding: Encoding,
        progress: &Progress,
        acknowledged: impl FnMut(v1::PushReply),
    ) -> Result<(), Status> {
        let pulled = &self.state.traffic.bytes_pulled;
        let received = |bytes| {
            pulled.fetch_add(bytes, Ordering::Relaxed);
        };
        pull::values(messages, part, encoding, progress, received, acknowledged).await
    }
}
