//! Pulls from one shard, by themselves and with a push.

use super::retry::GATE_WAIT;
use super::{PushCall, ShardClient, Step};
use crate::error::Error;
use crate::report::PushReport;
use ps_core::ids::Clock;
use ps_kernels::encoding::Encoding;
use ps_proto::bulk::{self, BulkReader};
use ps_proto::{PROTOCOL, v1};
use ps_runtime::bulk::call;
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
        let part = tokio::sync::Mutex::new(part);
        self.retry(GATE_WAIT, |channel| {
            let request = v1::PullRequest {
                job: config.job.clone(),
                shard: self.shard,
                epoch: self.state.epoch(),
                puller,
                encoding: v1::Encoding::from(encoding).into(),
                protocol: PROTOCOL,
            };
            let part = &part;
            async move {
                let messages = self.in_time(call(channel, bulk::PULL, [request])).await?;
                let mut messages = BulkReader::new(messages);
                let header = pull::header(&mut messages);
                // Who pulls for a step may wait at the gate.
                let header =
                    if step.is_some() { header.await } else { self.in_time(header).await }?;
                let part = &mut *part.lock().await;
                self.receive(&mut messages, part, encoding, |_| ()).await?;
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
        // What of this push is applied there, the shard knows by itself.
        let next = Step { clock: push.clock + 1, finished: 0, ahead: push.pull_ahead };
        let both = self
            .once(|channel| {
                let call = self.send(channel, bulk::PUSH_PULL, &push);
                let (push, pushed, part) = (&push, &mut pushed, &mut part);
                async move {
                    let mut replies = BulkReader::of_push_pull(self.in_time_of(push, call).await?);
                    let mut acknowledged = |reply| *pushed = Some(PushReport::from(&reply));
                    // The acknowledgement comes ahead of the header where the gate is closed, and
                    // among the weights where it is open.
                    let header = match self.in_time_of(push, pull::first(&mut replies)).await? {
                        FirstMessage::Header(header) => header,
                        FirstMessage::Acknowledged(reply) => {
                            acknowledged(reply);
                            pull::header(&mut replies).await?
                        }
                    };
                    self.receive(&mut replies, part, encoding, &mut acknowledged).await?;
                    match pushed {
                        Some(_) => Ok(header.clock),
                        None => Err(unexpected("acknowledgement", &"the end of the call")),
                    }
                }
            })
            .await;
        match (pushed, both) {
            (Some(report), Ok(clock)) => Ok((report, clock)),
            (_, Err(error)) if error.is_final => {
                Err(Error::of(self.shard, self.link.address(), &error.status))
            }
            // Something was lost: the same push again under the same id, then a plain pull.
            (pushed, failed) => {
                if let Err(error) = failed {
                    self.was_late(&push, &error.status);
                }
                let report = match pushed {
                    Some(report) => report,
                    None => self.push_alone(push).await?,
                };
                Ok((report, self.pull(Some(next), encoding, part).await?))
            }
        }
    }

    /// Receives the weights, each chunk in time.
    async fn receive(
        &self,
        messages: &mut BulkReader<v1::PullMessage>,
        part: &mut PartMut<'_>,
        encoding: Encoding,
        acknowledged: impl FnMut(v1::PushReply),
    ) -> Result<(), Status> {
        let pulled = &self.state.traffic.bytes_pulled;
        let received = |bytes| {
            pulled.fetch_add(bytes, Ordering::Relaxed);
        };
        let longest = self.state.config.attempt;
        pull::values(messages, part, encoding, longest, received, acknowledged).await
    }
}
