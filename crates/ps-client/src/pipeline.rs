//! Exchanges with the servers that are under way while the worker computes, in the order of their
//! steps (docs/adr/0009-pipelining.md).

use crate::client::{Client, NumberedPush};
use crate::counters::{Counters, Waiting};
use crate::error::Error;
use crate::report::PushReport;
use crate::weights::Weights;
use futures_util::future::BoxFuture;
use ps_core::ids::Clock;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// A step whose push was acknowledged by every server.
#[derive(Clone, Debug)]
pub struct StepOutcome {
    /// Mean loss of its batch.
    pub loss: f64,
    /// Samples of its batch.
    pub samples: u64,
    /// What became of its push.
    pub report: PushReport,
}

/// Weights for a later step, and the clock that the shards have for the worker.
type Pulled = (Weights, Clock);

/// What one exchange gave; it pulls unless it only pushed.
type Result = std::result::Result<(PushReport, Option<Pulled>), Error>;

/// An exchange that was begun; it ends when this is dropped.
enum Exchange {
    /// Goes on by itself.
    Spawned(JoinHandle<Result>),
    /// Goes on where it is waited for.
    Inline(BoxFuture<'static, Result>),
}

impl Exchange {
    fn begin(is_spawned: bool, exchange: impl Future<Output = Result> + Send + 'static) -> Self {
        match is_spawned {
            true => Self::Spawned(tokio::spawn(exchange)),
            false => Self::Inline(Box::pin(exchange)),
        }
    }

    /// Its end; asking again after a wait that was given up goes on with the wait.
    async fn end(&mut self) -> Result {
        match self {
            Self::Inline(exchange) => exchange.await,
            Self::Spawned(task) => match task.await {
                Ok(result) => result,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // Only a drop of this ends the task, or the runtime's end.
                    Err(_) => std::future::pending().await,
                },
            },
        }
    }

    /// Ends it; when this returns its push is no longer under way.
    async fn give_up(mut self) {
        if let Self::Spawned(task) = &mut self {
            task.abort();
            let _ = task.await;
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Self::Spawned(task) = self {
            task.abort();
        }
    }
}

/// A step whose gradient is on its way.
struct SentStep {
    clock: Clock,
    loss: f64,
    samples: u64,
    exchange: Exchange,
}

/// The exchanges under way.
pub struct Pipeline {
    client: Arc<Client>,
    counters: Arc<Counters>,
    /// How many go on while the worker computes.
    depth: u32,
    is_spawned: bool,
    under_way: VecDeque<SentStep>,
}

impl Pipeline {
    /// `is_spawned`: exchanges go on by themselves, else only where somebody waits for them.
    pub fn new(client: Arc<Client>, counters: Arc<Counters>, depth: u32, is_spawned: bool) -> Self {
        Self { client, counters, depth, is_spawned, under_way: VecDeque::new() }
    }

    /// Exchanges that go on while the worker computes.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Whether the next step must wait for the oldest.
    pub fn is_over_full(&self) -> bool {
        self.under_way.len() > self.depth as usize
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Begins the exchange of a step with this mean loss on so many samples: a push alone, or also a
    /// pull into these weights.
    pub fn begin(&mut self, loss: f64, samples: u64, push: NumberedPush, into: Option<Weights>) {
        let (client, depth, clock) = (self.client.clone(), self.depth, push.clock());
        let exchange = async move {
            let Some(mut weights) = into else {
                return Ok((client.send(push).await?, None));
            };
            let (report, lifted) = client.send_and_pull(push, depth, &mut weights).await?;
            Ok((report, Some((weights, lifted))))
        };
        let exchange = Exchange::begin(self.is_spawned, exchange);
        self.under_way.push_back(SentStep { clock, loss, samples, exchange });
    }

    /// Waits for the oldest step and counts it; `None` when nothing is under way. Once a wait has
    /// failed, the others are good for nothing but to be given up.
    ///
    /// # Errors
    /// The worker was superseded, or a server is away for too long.
    pub async fn oldest(
        &mut self,
    ) -> std::result::Result<Option<(StepOutcome, Option<Pulled>)>, Error> {
        let Some(step) = self.under_way.front_mut() else {
            return Ok(None);
        };
        let _waiting = Waiting::new(&self.counters);
        let end = step.exchange.end().await;
        let SentStep { clock, loss, samples, .. } = *step;
        // Only now: whoever gives up waiting finds it again.
        self.under_way.pop_front();
        let (report, pulled) = end?;
        self.counters.stepped(samples, loss, clock + 1, &report);
        Ok(Some((StepOutcome { loss, samples, report }, pulled)))
    }

    /// Ends all that is under way. Whether those pushes were applied, nobody learns.
    pub async fn give_up(&mut self) {
        while let Some(step) = self.under_way.pop_front() {
            step.exchange.give_up().await;
        }
    }
}
