//! Pushes to all shards, each under one number.

use super::Client;
use crate::error::Error;
use crate::gradient::Gradient;
use crate::outstanding::Ticket;
use crate::report::PushReport;
use crate::shard::PushCall;
use crate::weights::Weights;
use futures_util::future::{try_join, try_join_all};
use ps_core::TensorKind;
use ps_core::ids::{Clock, PushId};

/// A push that has its number, as it is sent to each shard; it counts as under way until it is
/// dropped.
pub struct NumberedPush {
    calls: Vec<PushCall>,
    /// New values of state tensors: a push of their own, of the same step.
    state: Vec<PushCall>,
    clock: Clock,
    _tickets: Vec<Ticket>,
}

impl NumberedPush {
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }
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
    ///
    /// Its state tensors are a push of their own, numbered before it: the step ends with the gradient,
    /// and a shard counts it as ended when both are applied.
    pub async fn number(
        &self,
        gradient: &Gradient,
        learning_rate: f32,
        weights: &Weights,
    ) -> NumberedPush {
        let calls = |kind| self.calls(gradient, learning_rate, weights, kind);
        let (mut state, mut tickets) = (Vec::new(), Vec::new());
        if gradient.has_state() {
            let (calls, ticket) = calls(TensorKind::State).await;
            state = calls;
            tickets.push(ticket);
        }
        let (trained, ticket) = calls(TensorKind::Trainable).await;
        tickets.push(ticket);
        NumberedPush { calls: trained, state, clock: weights.clock(), _tickets: tickets }
    }

    /// Sends a numbered push to every shard.
    ///
    /// # Errors
    /// As [`Client::push`].
    pub async fn send(&self, push: NumberedPush) -> Result<PushReport, Error> {
        let (state, trained) =
            try_join(self.push_all(push.state), self.push_all(push.calls)).await?;
        Ok(with_state(trained, state))
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
        let (state, results) = try_join(self.push_all(push.state), try_join_all(calls)).await?;
        let (reports, clocks): (Vec<_>, Vec<_>) = results.into_iter().unzip();
        weights.set_clock(push.clock + 1 + u64::from(ahead));
        let report = with_state(reports.into_iter().collect(), state);
        Ok((report, clocks.into_iter().max().unwrap_or(0)))
    }

    async fn push_all(&self, calls: Vec<PushCall>) -> Result<PushReport, Error> {
        let calls = self.shards.iter().zip(calls);
        let reports = try_join_all(calls.map(|(client, call)| client.push(call))).await?;
        Ok(reports.into_iter().collect())
    }

    /// The calls of the next push, with tensors of one kind, to each shard.
    async fn calls(
        &self,
        gradient: &Gradient,
        learning_rate: f32,
        weights: &Weights,
        kind: TensorKind,
    ) -> (Vec<PushCall>, Ticket) {
        let clock = weights.clock();
        let ticket = self.outstanding.open(clock).await;
        let config = &self.state.config;
        let (worker, incarnation, seq) = (config.worker, config.incarnation, ticket.seq());
        let call = |shard| {
            let chunks = self.chunks(gradient, weights, shard, kind);
            PushCall {
                id: PushId { worker, incarnation, seq },
                oldest: ticket.oldest(),
                clock,
                learning_rate,
                loss: gradient.loss(),
                kind,
                chunks_total: chunks.count(),
                chunks,
                pull_ahead: 0,
                has_start: false,
            }
        };
        ((0..self.shards.len() as u32).map(call).collect(), ticket)
    }
}

/// A state tensor's staleness means nothing; a refused chunk of it does.
fn with_state(trained: PushReport, state: PushReport) -> PushReport {
    PushReport { chunks_refused: trained.chunks_refused + state.chunks_refused, ..trained }
}
