//! Pushes to all shards, each under one number.

use super::outstanding::Ticket;
use super::shard::PushCall;
use super::{Client, Error, Gradient, Weights};
use futures_util::future::try_join_all;
use ps_core::ids::{Clock, PushId};

/// What became of one push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushReport {
    /// Largest staleness over its chunks.
    pub staleness: u64,
    /// Chunks that the servers refused because of a value that is not finite.
    pub chunks_refused: u64,
}

/// A push that has its number, as it is sent to each shard; it counts as under way until it is
/// dropped.
pub struct NumberedPush {
    calls: Vec<PushCall>,
    clock: Clock,
    _ticket: Ticket,
}

impl Client {
    /// Pushes the gradient that was computed from these weights, to every shard.
    ///
    /// # Errors
    /// The worker was superseded, or a server is away for too long.
    pub async fn push(
        &self,
        gradient: &Gradient,
        learning_rate: f32,
        weights: &Weights,
    ) -> Result<PushReport, Error> {
        self.send(self.number(gradient, learning_rate, weights).await).await
    }

    /// Pushes, and pulls the weights for the next step in the same round trip.
    ///
    /// # Errors
    /// The worker was superseded, or a server is away for too long.
    pub async fn push_pull(
        &self,
        gradient: &Gradient,
        learning_rate: f32,
        weights: &mut Weights,
    ) -> Result<PushReport, Error> {
        let push = self.number(gradient, learning_rate, weights).await;
        let (report, lifted) = self.send_and_pull(push, 0, weights).await?;
        if lifted > weights.clock() {
            self.pull(lifted, weights).await?;
        }
        Ok(report)
    }

    /// Numbers the push of the gradient that was computed from these weights, for the step that
    /// they say. Whoever has several under way numbers them in the order of their steps: a shard
    /// counts steps in the order of the numbers.
    pub async fn number(
        &self,
        gradient: &Gradient,
        learning_rate: f32,
        weights: &Weights,
    ) -> NumberedPush {
        let ticket = self.outstanding.open(weights.clock()).await;
        let shards = 0..self.shards.len() as u32;
        let call = |shard| self.call(&ticket, gradient, learning_rate, weights, shard);
        NumberedPush { calls: shards.map(call).collect(), clock: weights.clock(), _ticket: ticket }
    }

    /// Sends a numbered push to every shard.
    ///
    /// # Errors
    /// As [`Client::push`].
    pub async fn send(&self, push: NumberedPush) -> Result<PushReport, Error> {
        let calls = self.shards.iter().zip(push.calls);
        let reports = try_join_all(calls.map(|(client, call)| client.push(call))).await?;
        Ok(merge(reports))
    }

    /// Sends a numbered push, and pulls in the same round trip the weights for the step that comes
    /// so many after the next. Returns the worker's clock as the shards have it, too: when it is
    /// above its own, the worker was lifted, and the weights are not those of its next step.
    ///
    /// # Errors
    /// As [`Client::push`].
    pub async fn send_and_pull(
        &self,
        push: NumberedPush,
        ahead: u32,
        weights: &mut Weights,
    ) -> Result<(PushReport, Clock), Error> {
        let parts = self.shards.iter().zip(push.calls).zip(weights.parts());
        let calls = parts.map(|((client, call), part)| {
            client.push_pull(PushCall { pull_ahead: ahead, ..call }, part)
        });
        let results = try_join_all(calls).await?;
        let (reports, clocks): (Vec<_>, Vec<_>) = results.into_iter().unzip();
        weights.set_clock(push.clock + 1 + u64::from(ahead));
        Ok((merge(reports), clocks.into_iter().max().unwrap_or(0)))
    }

    fn call(
        &self,
        ticket: &Ticket,
        gradient: &Gradient,
        learning_rate: f32,
        weights: &Weights,
        shard: u32,
    ) -> PushCall {
        let config = &self.shared.config;
        let (worker, incarnation, seq) = (config.worker, config.incarnation, ticket.seq());
        PushCall {
            id: PushId { worker, incarnation, seq },
            oldest: ticket.oldest(),
            clock: weights.clock(),
            learning_rate,
            loss: gradient.loss(),
            chunks: self.payloads(gradient, weights, shard),
            pull_ahead: 0,
        }
    }
}

fn merge(reports: Vec<PushReport>) -> PushReport {
    reports.into_iter().fold(PushReport::default(), |all, one| PushReport {
        staleness: all.staleness.max(one.staleness),
        chunks_refused: all.chunks_refused + one.chunks_refused,
    })
}
