//! What a step exchanges with the servers, and which weights the next one has: in hand while they
//! are fresh, brought by an earlier exchange, or pulled (docs/adr/0009-pipelining.md).

use super::{StepOutcome, Trainer};
use crate::client::{Gradient, Weights};
use crate::compute::Step;
use crate::train::pipeline::{Exchanged, Sent, Waiting};
use crate::train::{Error, clip};

impl Trainer {
    /// Sends a step's gradient on its way, and asks for the weights of the step that comes `depth`
    /// after the next, if there will be one.
    pub(super) async fn send(
        &mut self,
        step: Step,
        progress: f64,
        following: u64,
    ) -> Result<(), Error> {
        let rate = self.settings.learning_rate.rate(progress);
        let sent = Sent { clock: self.clock, loss: step.loss, samples: step.samples };
        let mut values = step.gradient;
        if let Some(norm_max) = self.settings.clip_norm {
            clip::clip_global_norm(&mut values, norm_max);
        }
        let gradient = Gradient::new(self.layout.clone(), values, step.present, step.loss);
        let mut engine = self.engine.lock().await;
        let weights = engine.weights.get_or_insert_with(|| self.buffers.take());
        weights.set_clock(self.clock);
        let push = self.client.number(&gradient, rate, weights).await;
        self.clock += 1;
        let pulls = following > u64::from(self.pipeline.depth());
        // What is no longer needed becomes room for weights to come.
        let done_with = if self.clock >= self.fresh_until { engine.weights.take() } else { None };
        drop(engine);
        let room = match (pulls, done_with) {
            (true, weights) => Some(weights.unwrap_or_else(|| self.buffers.take())),
            (false, weights) => {
                weights.into_iter().for_each(|weights| self.buffers.put(weights));
                None
            }
        };
        self.pipeline.begin(sent, push, room);
        Ok(())
    }

    /// Waits until the next step may be computed.
    pub(super) async fn make_room(&mut self) -> Result<Vec<StepOutcome>, Error> {
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
        let Some((sent, Exchanged { report, pulled })) = self.pipeline.oldest().await? else {
            return Ok(None);
        };
        let Sent { clock, loss, samples } = sent;
        self.counters.stepped(samples, loss, clock + 1, &report);
        if let Some((weights, lifted)) = pulled {
            self.lifted_to = self.lifted_to.max(lifted);
            self.accept(weights).await;
        }
        Ok(Some(StepOutcome { loss, samples, report }))
    }

    /// Takes weights in hand when they are for the next step.
    async fn accept(&mut self, weights: Weights) {
        let mut engine = self.engine.lock().await;
        let done_with = if weights.clock() == self.clock {
            self.fresh_until = self.clock + 1;
            engine.weights.replace(weights)
        } else {
            Some(weights)
        };
        done_with.into_iter().for_each(|weights| self.buffers.put(weights));
    }

    /// Makes the weights in hand those for the next step, and for the steps until the first
    /// exchange that is sent from now on brings some.
    pub(super) async fn refresh(&mut self, following: u64) -> Result<(), Error> {
        if self.clock < self.fresh_until {
            return Ok(());
        }
        let ahead = following.min(u64::from(self.pipeline.depth())) as u32;
        let mut engine = self.engine.lock().await;
        let _waiting = Waiting::new(&self.counters);
        let weights = engine.weights.get_or_insert_with(|| self.buffers.take());
        self.client.pull_for_steps(self.clock, ahead, weights).await?;
        self.clock = weights.clock();
        self.fresh_until = self.clock + 1 + u64::from(ahead);
        Ok(())
    }
}
