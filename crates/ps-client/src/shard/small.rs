//! Small pushes on one call that stays open: they cost no call each, and share their answers.
//!
//! Only first attempts come here. Whatever goes wrong on the shared call, to whichever push, ends it
//! for all that wait on it; each is then tried again on a call of its own, which says what is wrong
//! with it.

use super::retry::left;
use super::route::Way;
use crate::report::PushReport;
use bytes::Bytes;
use futures_util::StreamExt;
use ps_core::ids::Seq;
use ps_proto::bulk::{self, Pieces};
use ps_proto::v1;
use ps_runtime::bulk::open;
use ps_runtime::progress::Progress;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// The open call to one shard, if there is one.
#[derive(Default)]
pub(super) struct SmallPushes {
    call: Mutex<Option<SmallCall>>,
}

/// An open call; it ends when this is dropped, when its server is said to be elsewhere, and when nothing
/// moves on it though a push waits: watched once for all of its pushes, of which there may be
/// hundreds of thousands a second.
pub(super) struct SmallCall {
    sender: mpsc::UnboundedSender<Vec<Bytes>>,
    unanswered: Arc<Unanswered>,
    progress: Progress,
}

/// The pushes that are not answered, in the order they were sent in; `None` when the call is over.
type Unanswered = Mutex<Option<VecDeque<(Seq, oneshot::Sender<PushReport>)>>>;

impl SmallPushes {
    /// Pushes on the open call, or on a new one; `None` when the call failed, and with it maybe this
    /// push.
    pub(super) async fn push(
        &self,
        seq: Seq,
        message: v1::PushMessage,
        open: impl FnOnce() -> SmallCall,
    ) -> Option<PushReport> {
        let (answer, unanswered) = self.send(seq, message, open)?;
        let mut guard = CallGuard { pushes: self, unanswered, answered: false };
        let report = answer.await.ok();
        guard.answered = report.is_some();
        report
    }

    /// Makes no more pushes on the open call: the next one opens another.
    pub(super) fn end(&self) {
        *lock(&self.call) = None;
    }

    fn send(
        &self,
        seq: Seq,
        message: v1::PushMessage,
        open: impl FnOnce() -> SmallCall,
    ) -> Option<(oneshot::Receiver<PushReport>, Arc<Unanswered>)> {
        let mut current = lock(&self.call);
        let is_over = |call: &SmallCall| lock(&call.unanswered).is_none();
        if current.as_ref().is_none_or(is_over) {
            *current = None;
            drop(current);
            // Whoever opens it may have to end the one before.
            let fresh = open();
            current = lock(&self.call);
            if current.as_ref().is_none_or(is_over) {
                *current = Some(fresh);
            }
        }
        let call = current.as_ref()?;
        let (sender, answer) = oneshot::channel();
        // Under one lock: answers come in the order of the messages.
        let mut unanswered = lock(&call.unanswered);
        let waiting = unanswered.as_mut()?;
        if waiting.is_empty() {
            // From now on something has to.
            call.progress.moved();
        }
        waiting.push_back((seq, sender));
        drop(unanswered);
        call.sender.send(message.pieces()).ok()?;
        Some((answer, call.unanswered.clone()))
    }
}

/// A push that is given up, or fails, takes the call with it: it may be dead.
struct CallGuard<'a> {
    pushes: &'a SmallPushes,
    unanswered: Arc<Unanswered>,
    answered: bool,
}

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        if !self.answered {
            // Those that wait are told by their senders' end.
            *lock(&self.unanswered) = None;
            lock(&self.pushes.call).take_if(|call| Arc::ptr_eq(&call.unanswered, &self.unanswered));
        }
    }
}

impl SmallCall {
    /// Opens a call this way; it is given up when nothing moves for so long.
    pub(super) fn start(mut way: Way, attempt: Duration) -> Self {
        let (sender, pieces) = mpsc::unbounded_channel();
        let unanswered = Arc::new(Mutex::new(Some(VecDeque::new())));
        let progress = Progress::default();
        let (read, moving) = (unanswered.clone(), progress.clone());
        // However the task ends: whoever waits is told by it.
        let over = Over(unanswered.clone());
        tokio::spawn(async move {
            let _over = over;
            let link = way.link.clone();
            let answered = answer_all(link.channel(), pieces, &read, &moving);
            let ended = way.unless_left(async {
                tokio::select! {
                    biased;
                    ended = answered => ended,
                    status = stalled(&read, &moving, attempt) => {
                        if status.code() == Code::DeadlineExceeded {
                            // A server that is silent on this connection may answer on another.
                            link.reconnect();
                        }
                        Err(status)
                    }
                }
            });
            if let Err(status) = ended.await.unwrap_or_else(|| Err(left())) {
                tracing::debug!("the call for small pushes is over: {}", status.message());
            }
        });
        Self { sender, unanswered, progress }
    }
}

/// Ends a call for all that wait on it.
struct Over(Arc<Unanswered>);

impl Drop for Over {
    fn drop(&mut self) {
        *lock(&self.0) = None;
    }
}

/// Waits until nothing has moved for so long though a push waits, or the call is given up.
async fn stalled(unanswered: &Unanswered, progress: &Progress, longest: Duration) -> Status {
    loop {
        let idle = progress.idle();
        if idle < longest {
            tokio::time::sleep(longest - idle).await;
            continue;
        }
        let waits = lock(unanswered).as_ref().map(|waiting| !waiting.is_empty());
        match waits {
            None => return Status::aborted("given up"),
            Some(false) => tokio::time::sleep(longest).await,
            // A push that came since says that it did, ahead of waiting.
            Some(true) if progress.idle() < longest => (),
            Some(true) => {
                let message = format!("no answer within {longest:?}, and nothing moved");
                return Status::deadline_exceeded(message);
            }
        }
    }
}

/// Sends the pushes, and tells everybody whose push was applied, until the call ends.
async fn answer_all(
    channel: Channel,
    pieces: mpsc::UnboundedReceiver<Vec<Bytes>>,
    unanswered: &Unanswered,
    progress: &Progress,
) -> Result<(), Status> {
    let moving = progress.clone();
    let pieces = UnboundedReceiverStream::new(pieces).inspect(move |_| moving.moved());
    let mut answers = open(channel, bulk::PUSH_MANY, pieces).await?;
    let mut applied = 0;
    while answers.next_message().await? {
        let reply: v1::PushManyReply = answers.message().await?;
        progress.moved();
        let mut particular = reply.particular.into_iter().peekable();
        let mut unanswered = lock(unanswered);
        let Some(unanswered) = unanswered.as_mut() else { return Ok(()) };
        while applied < reply.applied
            && let Some((seq, sender)) = unanswered.pop_front()
        {
            applied += 1;
            let own = particular.next_if(|answer| answer.seq == seq);
            let reply = own.and_then(|answer| answer.reply).unwrap_or_default();
            // Whoever gave up has ended the call.
            let _ = sender.send(PushReport::from(&reply));
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::route::Route;
    use super::*;
    use crate::shard_map::ShardMapWatch;
    use ps_runtime::{Connector, Outside, SystemClock};
    use std::pin::pin;
    use tokio::runtime::{Builder, Runtime};

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    /// A way to a server that no connection reaches.
    fn way() -> Way {
        let connector = Connector::new(|_| Box::pin(std::future::pending()));
        let (clock, metrics) = (SystemClock::start(), Arc::new(|_: &str| ()));
        let outside = Outside { connector, clock, seed: 1, metrics };
        let address = "127.0.0.1:1";
        Route::new(0, address, ShardMapWatch::fixed([address]), &outside).unwrap().way().0
    }

    /// A task may end before its last line: it panicked, or its runtime is gone.
    #[test]
    fn regression_no_push_waits_for_a_call_whose_task_is_gone() {
        let (here, gone) = (runtime(), runtime());
        let call = gone.block_on(async { SmallCall::start(way(), Duration::from_secs(3600)) });
        let pushes = SmallPushes::default();
        here.block_on(async {
            let mut push = pin!(pushes.push(0, v1::PushMessage::default(), || call));
            assert!(futures_util::poll!(push.as_mut()).is_pending());
            gone.shutdown_background();
            let answer = tokio::time::timeout(Duration::from_secs(60), push).await;
            assert!(answer.unwrap().is_none());
        });
    }
}
