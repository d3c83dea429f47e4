//! Small pushes on one call that stays open: they cost no call each, and share their answers.
//!
//! Only first attempts come here. Whatever goes wrong on the shared call, to whichever push, ends it
//! for all that wait on it; each is then tried again on a call of its own, which says what is wrong
//! with it.

use crate::report::PushReport;
use bytes::Bytes;
use futures_util::StreamExt;
use ps_core::ids::Seq;
use ps_proto::bulk::{self, MessageReader, Pieces};
use ps_proto::v1;
use ps_runtime::bulk::open;
use ps_runtime::progress::Progress;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

/// The open call to one shard, if there is one.
#[derive(Default)]
pub(super) struct SmallPushes {
    call: Mutex<Option<Call>>,
    /// Whether anything on it moves.
    pub(super) progress: Progress,
}

/// An open call; it ends when this is dropped.
struct Call {
    sender: mpsc::UnboundedSender<Vec<Bytes>>,
    unanswered: Arc<Unanswered>,
}

/// The pushes that are not answered, in the order they were sent in; `None` when the call is over.
type Unanswered = Mutex<Option<VecDeque<(Seq, oneshot::Sender<PushReport>)>>>;

impl SmallPushes {
    /// Pushes on the open call, or on a new one over this channel; `None` when the call failed, and
    /// with it maybe this push.
    pub(super) async fn push(
        &self,
        channel: Channel,
        seq: Seq,
        message: v1::PushMessage,
    ) -> Option<PushReport> {
        let (answer, unanswered) = self.send(channel, seq, message)?;
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
        channel: Channel,
        seq: Seq,
        message: v1::PushMessage,
    ) -> Option<(oneshot::Receiver<PushReport>, Arc<Unanswered>)> {
        let mut open = lock(&self.call);
        let call = open.take().filter(|call| lock(&call.unanswered).is_some());
        let call = open.insert(call.unwrap_or_else(|| Call::start(channel, &self.progress)));
        let (sender, answer) = oneshot::channel();
        // Under one lock: answers come in the order of the messages.
        lock(&call.unanswered).as_mut()?.push_back((seq, sender));
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

impl Call {
    fn start(channel: Channel, progress: &Progress) -> Self {
        let (sender, pieces) = mpsc::unbounded_channel();
        let unanswered = Arc::new(Mutex::new(Some(VecDeque::new())));
        let (read, progress) = (unanswered.clone(), progress.clone());
        tokio::spawn(async move {
            let moving = progress.clone();
            let pieces = UnboundedReceiverStream::new(pieces).inspect(move |_| moving.moved());
            let answers = open(channel, bulk::PUSH_MANY, pieces).await;
            let ended = match answers {
                Ok(answers) => answer_all(answers, &read, &progress).await,
                Err(status) => Err(status),
            };
            if let Err(status) = ended {
                tracing::debug!("the call for small pushes is over: {}", status.message());
            }
            *lock(&read) = None;
        });
        Self { sender, unanswered }
    }
}

/// Tells everybody whose push was applied, until the call ends.
async fn answer_all(
    mut answers: MessageReader,
    unanswered: &Unanswered,
    progress: &Progress,
) -> Result<(), Status> {
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
