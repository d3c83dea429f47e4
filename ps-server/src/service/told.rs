//! Calls that take as long as a disk does: whoever waits for one is told how far it is.

use super::Service;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, Stream};
use ps_core::limits::WAIT_TOLD_MS;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tonic::Status;

/// Replies of which the last one is the answer.
pub(super) type Replies<R> = Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>;

/// Bytes that calls have written or read so far.
#[derive(Clone, Debug, Default)]
pub(super) struct BytesDone(Arc<AtomicU64>);

impl BytesDone {
    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Service {
    /// Runs a call where it may wait for a disk, and says now and then how many bytes of it are done.
    /// It goes on when its caller does not wait any more.
    pub(super) fn told<R: Send + 'static>(
        &self,
        call: impl Future<Output = Result<R, Status>> + Send + 'static,
        news: fn(u64) -> R,
    ) -> Replies<R> {
        let (call, done) = (self.at_home(call), self.disk_bytes.clone());
        Box::pin(stream::unfold(Some(call), move |call| {
            let done = done.clone();
            async move {
                let mut call = call?;
                tokio::select! {
                    biased;
                    answer = &mut call => Some((answer, None)),
                    () = tokio::time::sleep(Duration::from_millis(WAIT_TOLD_MS)) => {
                        Some((Ok(news(done.get())), Some(call)))
                    }
                }
            }
        }))
    }

    /// Runs it where it may wait for a disk, to its end.
    pub(super) fn at_home<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, Status>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, Status>> {
        let Some(home) = &self.home else { return call.boxed() };
        let ended = home.spawn(call);
        let broke_off = |error| Status::internal(format!("the call broke off: {error}"));
        async move { ended.await.map_err(broke_off)? }.boxed()
    }
}
