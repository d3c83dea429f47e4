//! Exchanges that go on while the script computes its next step (docs/adr/0009, 0048).

use ps_client::{Error, Gradient, Pipeline, PushReport, Session, Weights, WeightsPool};
use ps_core::ids::Clock;
use ps_core::model_spec::ModelSpec;

/// Up to so many steps' exchanges, under way.
pub(crate) struct Exchanges {
    pipeline: Pipeline,
    /// What later steps' weights are received into: the script's own are read while it computes.
    spare: WeightsPool,
    /// The next step.
    clock: Clock,
    /// Where a shard says that this worker is, if it was set ahead.
    lifted_to: Clock,
    /// Of the steps that were settled and not yet told.
    settled: PushReport,
}

impl Exchanges {
    /// Of a session that has just taken these weights.
    pub(crate) fn new(session: &Session, depth: u32, spec: ModelSpec, weights: &Weights) -> Self {
        let pipeline = session.pipeline(depth, true);
        let (clock, settled) = (weights.clock(), PushReport::default());
        Self { pipeline, spare: WeightsPool::new(spec), clock, lifted_to: clock, settled }
    }

    /// Begins to push a gradient and its loss, computed from these weights, and waits until the next step may be computed, with what
    /// is in them then.
    pub(crate) async fn step(
        &mut self,
        session: &Session,
        (gradient, loss, learning_rate): (&Gradient, f64, f32),
        weights: &mut Weights,
    ) -> Result<PushReport, Error> {
        weights.set_clock(self.clock);
        let push = session.client().number(gradient, learning_rate, weights).await;
        self.clock += 1;
        let into = Some(self.spare.take());
        self.pipeline.begin(loss, 0, push, into);
        while self.pipeline.is_over_full() {
            self.settle_oldest(weights).await?;
        }
        if self.lifted_to > self.clock {
            // What is under way was asked for at a clock that no longer counts.
            self.settle(weights).await?;
            self.clock = self.lifted_to;
            session.pull(self.clock, self.pipeline.depth(), weights).await?;
        }
        Ok(std::mem::take(&mut self.settled))
    }

    /// Waits for all that is under way. The weights that the last exchange brought do for as many steps as may be under way: each
    /// is asked for at the step that comes so many after its own.
    pub(crate) async fn settle(&mut self, weights: &mut Weights) -> Result<(), Error> {
        while !self.pipeline.is_empty() {
            self.settle_oldest(weights).await?;
        }
        Ok(())
    }

    async fn settle_oldest(&mut self, weights: &mut Weights) -> Result<(), Error> {
        let Some((outcome, pulled)) = self.pipeline.oldest().await? else { return Ok(()) };
        self.settled.staleness = self.settled.staleness.max(outcome.report.staleness);
        self.settled.chunks_refused += outcome.report.chunks_refused;
        if let Some((pulled, lifted)) = pulled {
            self.lifted_to = self.lifted_to.max(lifted);
            weights.copy_from(&pulled);
            self.spare.put(pulled);
        }
        Ok(())
    }
}
