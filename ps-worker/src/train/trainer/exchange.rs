//! What a step exchanges with the servers, and which weights the next one has: in hand while they
//! are fresh, brought by an earlier exchange, or pulled (docs/adr/0009-pipelining.md).

use super::Trainer;
use super::gradient_writer::StartedStep;
use crate::train::error::Error;
use ps_client::{StepOutcome, Weights};

impl Trainer {
    /// Begins to send a step's gradient, and asks for the weights of the step that comes `depth`
    /// after the next, if there will be one. Its parts leave as they are filled.
    pub(super) async fn send(&mut self, started: StartedStep, progress: f64, following: u64) {
        let StartedStep { loss, samples, gradient, mut weights } = started;
        let rate = self.settings.learning_rate.rate(progress);
        weights.set_clock(self.clock);
        let push = self.session.client().number(&gradient, rate, &weights).await;
        self.clock += 1;
        let pulls = following > u64::from(self.pipeline.depth());
        // What is no longer needed is what weights to come are pulled into.
        let done_with = if self.clock >= self.fresh_until {
            Some(weights)
        } else {
            self.weights = Some(weights);
            None
        };
        let into = match (pulls, done_with) {
            (true, weights) => Some(weights.unwrap_or_else(|| self.weights_pool.take())),
            (false, weights) => {
                weights.into_iter().for_each(|weights| self.weights_pool.put(weights));
                None
            }
        };
        self.pipeline.begin(loss, samples, push, into);
    }

    /// Waits until the next step may be computed.
    pub(super) async fn await_capacity(&mut self) -> Result<Vec<StepOutcome>, Error> {
        let mut outcomes = Vec::new();
        while self.pipeline.is_over_full() {
            outcomes.extend(self.settle_oldest().await?);
        }
        if self.lifted_to > self.clock {
            // What is under way was asked for at a clock that no longer counts.
            outcomes.extend(self.settle().await?);
            self.clock = self.lifted_to;
        }
        Ok(outcomes)
    }

    /// Waits for everything under way; the steps that were acknowledged, oldest first. The next step
    /// begins with fresh weights.
    ///
    /// # Errors
    /// The worker was superseded, or a server is away.
    pub async fn settle(&mut self) -> Result<Vec<StepOutcome>, Error> {
        let mut outcomes = Vec::new();
        while !self.pipeline.is_empty() {
            outcomes.extend(self.settle_oldest().await?);
        }
        self.fresh_until = 0;
        Ok(outcomes)
    }

    /// Gives up everything under way: whether it was applied, nobody learns, but never twice.
    pub async fn give_up(&mut self) {
        self.pipeline.give_up().await;
        self.fresh_until = 0;
    }

    async fn settle_oldest(&mut self) -> Result<Option<StepOutcome>, Error> {
        let Some((outcome, pulled)) = self.pipeline.oldest().await? else {
            return Ok(None);
        };
        if let Some((weights, lifted)) = pulled {
            self.lifted_to = self.lifted_to.max(lifted);
            self.accept(weights);
        }
        Ok(Some(outcome))
    }

    /// Takes weights in hand when they are for the next step.
    fn accept(&mut self, weights: Weights) {
        let done_with = if weights.clock() == self.clock {
            self.fresh_until = self.clock + 1;
            self.weights.replace(weights)
        } else {
            Some(weights)
        };
        done_with.into_iter().for_each(|weights| self.weights_pool.put(weights));
    }

    /// Makes the weights in hand those for the next step, and for the steps until the first
    /// exchange that is sent from now on brings some.
    pub(super) async fn refresh(&mut self, following: u64) -> Result<(), Error> {
        // They are not in hand when a step was given up while the model took them.
        if self.clock < self.fresh_until && self.weights.is_some() {
            return Ok(());
        }
        let ahead = following.min(u64::from(self.pipeline.depth())) as u32;
        let weights = self.weights.get_or_insert_with(|| self.weights_pool.take());
        self.session.pull(self.clock, ahead, weights).await?;
        self.clock = weights.clock();
        self.fresh_until = self.clock + 1 + u64::from(ahead);
        Ok(())
    }
}
