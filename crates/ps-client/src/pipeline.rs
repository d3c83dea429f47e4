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

/// What one exchange gave.
pub struct ExchangeResult {
    /// What became of the push.
    pub report: PushReport,
    /// Weights for a later step, and the clock that the shards have for the worker, unless it only
    /// pushed.
    pub pulled: Option<(Weights, Clock)>,
}

type Result = std::result::Result<ExchangeResult, Error>;

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
pub struct SentStep {
    /// The step.
    pub clock: Clock,
    /// Mean loss of its batch.
    pub loss: f64,
    /// Samples of its batch.
    pub samples: u64,
}

/// The exchanges under way.
pub struct Pipeline {
    client: Arc<Client>,
    counters: Arc<Counters>,
    /// How many go on while the worker computes.
    depth: u32,
    is_spawned: bool,
    under_way: VecDeque<(SentStep, Exchange)>,
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

    /// Begins an exchange: a push alone, or also a pull into these weights.
    pub fn begin(&mut self, sent: SentStep, push: NumberedPush, into: Option<Weights>) {
        let (client, depth) = (self.client.clone(), self.depth);
        let exchange = async move {
            let Some(mut weights) = into else {
                return Ok(ExchangeResult { report: client.send(push).await?, pulled: None });
            };
            let (report, lifted) = client.send_and_pull(push, depth, &mut weights).await?;
            Ok(ExchangeResult { report, pulled: Some((weights, lifted)) })
        };
        self.under_way.push_back((sent, Exchange::begin(self.is_spawned, exchange)));
    }

    /// Waits for the oldest; `None` when nothing is under way. Once a wait has failed, the others
    /// are good for nothing but to be given up.
    pub async fn oldest(
        &mut self,
    ) -> std::result::Result<Option<(SentStep, ExchangeResult)>, Error> {
        let Some((_, exchange)) = self.under_way.front_mut() else {
            return Ok(None);
        };
        let _waiting = Waiting::new(&self.counters);
        let end = exchange.end().await;
        // Only now: whoever gives up waiting finds it again.
        let sent = self.under_way.pop_front().map(|(sent, _)| sent);
        let exchanged = end?;
        Ok(sent.map(|sent| (sent, exchanged)))
    }

    /// Ends all that is under way. Whether those pushes were applied, nobody learns.
    pub async fn give_up(&mut self) {
        while let Some((_, exchange)) = self.under_way.pop_front() {
            exchange.give_up().await;
        }
    }
}
