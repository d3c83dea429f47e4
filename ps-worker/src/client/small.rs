//! Small pushes on one call that stays open: one costs no call of its own, and many in flight share
//! their answers.

use super::PushReport;
use super::shard::report;
use bytes::Bytes;
use ps_core::ids::Seq;
use ps_proto::bulk::{self, MessageReader, Pieces};
use ps_proto::v1;
use ps_runtime::bulk::open;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

/// The open call to one shard, if there is one.
#[derive(Default)]
pub(super) struct SmallPushes(Mutex<Option<Arc<Open>>>);

/// A call, and the pushes on it that are not answered, in their order.
struct Open {
    state: Mutex<State>,
}

struct State {
    sender: mpsc::UnboundedSender<Vec<Bytes>>,
    waiting: VecDeque<(Seq, oneshot::Sender<Result<PushReport, Status>>)>,
    /// Set when the call is over: nothing more is sent on it.
    ended: Option<Status>,
}

impl SmallPushes {
    /// Pushes on the open call, or on a new one over this channel; how often it is tried again is
    /// the caller's business, and a call that failed is never used again.
    pub(super) async fn push(
        &self,
        channel: Channel,
        seq: Seq,
        message: v1::PushMessage,
    ) -> Result<PushReport, Status> {
        let call = self.call(channel);
        let answer = call.send(seq, message)?;
        let mut forget = Forget { pushes: self, call, answered: false };
        let answer = answer.await.unwrap_or_else(|_| Err(broken()));
        forget.answered = answer.is_ok();
        answer
    }

    fn call(&self, channel: Channel) -> Arc<Open> {
        let mut open = lock(&self.0);
        match &*open {
            Some(call) if lock(&call.state).ended.is_none() => call.clone(),
            _ => open.insert(Open::start(channel)).clone(),
        }
    }

    fn forget(&self, call: &Arc<Open>) {
        let mut open = lock(&self.0);
        if open.as_ref().is_some_and(|current| Arc::ptr_eq(current, call)) {
            *open = None;
        }
    }
}

/// A push that is given up or fails takes its call with it: the next attempt is on a fresh one.
struct Forget<'a> {
    pushes: &'a SmallPushes,
    call: Arc<Open>,
    answered: bool,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.pushes.forget(&self.call);
        }
    }
}

impl Open {
    fn start(channel: Channel) -> Arc<Self> {
        let (sender, pieces) = mpsc::unbounded_channel();
        let state = State { sender, waiting: VecDeque::new(), ended: None };
        let call = Arc::new(Self { state: Mutex::new(state) });
        // Weak: the call ends when nobody pushes on it any more.
        let reader = Arc::downgrade(&call);
        tokio::spawn(async move {
            let answers =
                open(channel, bulk::PUSH_MANY, UnboundedReceiverStream::new(pieces)).await;
            let status = match answers {
                Ok(answers) => read(answers, &reader).await,
                Err(status) => status,
            };
            if let Some(call) = reader.upgrade() {
                call.end(&status);
            }
        });
        call
    }

    fn send(
        &self,
        seq: Seq,
        message: v1::PushMessage,
    ) -> Result<oneshot::Receiver<Result<PushReport, Status>>, Status> {
        let pieces = message.pieces();
        let (sender, answer) = oneshot::channel();
        // In the order of their answers.
        let mut state = lock(&self.state);
        if let Some(status) = &state.ended {
            return Err(status.clone());
        }
        state.sender.send(pieces).map_err(|_| broken())?;
        state.waiting.push_back((seq, sender));
        Ok(answer)
    }

    /// Tells everybody whose push was applied.
    fn answer(&self, count: u64, particular: Vec<v1::PushAnswer>) {
        let mut particular = particular.into_iter().peekable();
        for _ in 0..count {
            let Some((seq, waiting)) = lock(&self.state).waiting.pop_front() else { break };
            let own = particular.next_if(|answer| answer.seq == seq);
            let reply = own.and_then(|answer| answer.reply).unwrap_or_default();
            let _ = waiting.send(Ok(report(&reply)));
        }
    }

    fn end(&self, status: &Status) {
        let mut state = lock(&self.state);
        state.ended = Some(status.clone());
        for (_, waiting) in state.waiting.drain(..) {
            let _ = waiting.send(Err(status.clone()));
        }
    }
}

/// Reads answers until the call ends; why it did.
async fn read(mut answers: MessageReader, call: &std::sync::Weak<Open>) -> Status {
    let mut applied = 0;
    loop {
        let reply = match next(&mut answers).await {
            Ok(Some(reply)) => reply,
            Ok(None) => return broken(),
            Err(status) => return status,
        };
        let Some(call) = call.upgrade() else { return broken() };
        call.answer(reply.applied.saturating_sub(applied), reply.particular);
        applied = reply.applied;
    }
}

async fn next(answers: &mut MessageReader) -> Result<Option<v1::PushManyReply>, Status> {
    match answers.next_message().await? {
        true => answers.message().await.map(Some),
        false => Ok(None),
    }
}

fn broken() -> Status {
    Status::unavailable("the call for small pushes broke off")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
