//! Calls that may take as long as they like, while something moves.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;
use tonic::codegen::Bytes;

/// A link that takes longer for a piece is slow: some MB/s. There a frame more costs nothing, and one of
/// 256 KiB may be all that moves in an attempt.
const SLOW_PIECE: Duration = Duration::from_millis(100);

/// Bytes of the parts that pieces go in there.
const PART_BYTES: usize = 32 * 1024;

/// When something last moved in a call; whoever moves it says so.
#[derive(Clone, Debug)]
pub struct Progress(Arc<Moved>);

#[derive(Debug)]
struct Moved {
    begun: Instant,
    /// Nanoseconds from the beginning to the last move.
    last_ns: AtomicU64,
    /// The same to the last move that no later attempt has to repeat.
    advanced_ns: AtomicU64,
    /// The same to when a piece was last taken to be sent.
    taken_ns: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Moved {
            begun: Instant::now(),
            last_ns: AtomicU64::new(0),
            advanced_ns: AtomicU64::new(0),
            taken_ns: AtomicU64::new(0),
        }))
    }
}

impl Progress {
    /// Something moved: a message was taken to be sent, or came. The attempt goes on.
    pub fn moved(&self) {
        self.0.last_ns.fetch_max(self.elapsed_ns(), Ordering::Relaxed);
    }

    /// Something moved that stays: weights came, the server has more than before, or says that the call
    /// waits. All attempts go on: one that only sent, and broke off, brought the call no further.
    pub fn advanced(&self) {
        self.moved();
        self.0.advanced_ns.fetch_max(self.elapsed_ns(), Ordering::Relaxed);
    }

    /// A piece of what a call sends, as it is to be sent: something moves when it is taken, and again when the connection
    /// has written it. HTTP/2 takes a MiB of a call ahead of the connection, for which a slow link needs longer
    /// than an attempt may stand still. On such a link the piece goes in parts.
    pub fn under_way(&self, piece: Bytes) -> impl Iterator<Item = Bytes> + Send + use<> {
        self.moved();
        let now = self.elapsed_ns();
        let since = now.saturating_sub(self.0.taken_ns.swap(now, Ordering::Relaxed));
        let is_slow = Duration::from_nanos(since) > SLOW_PIECE;
        let most = if is_slow { PART_BYTES } else { usize::MAX };
        let (progress, mut rest) = (self.clone(), Some(piece));
        std::iter::from_fn(move || {
            let mut piece = rest.take()?;
            if piece.len() > most {
                rest = Some(piece.split_off(most));
            }
            Some(Bytes::from_owner(UnderWay { piece, progress: progress.clone() }))
        })
    }

    /// How long nothing has moved; at first since this was made.
    pub fn idle(&self) -> Duration {
        self.last().elapsed()
    }

    /// How long nothing has moved that stays; at first since this was made.
    pub fn stalled(&self) -> Duration {
        let advanced = Duration::from_nanos(self.0.advanced_ns.load(Ordering::Relaxed));
        (self.0.begun + advanced).elapsed()
    }

    /// Waits for this step as long as something moves.
    ///
    /// # Errors
    /// The step's, or nothing moved for so long.
    pub async fn limit<T>(
        &self,
        idle_max: Duration,
        step: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let begun = Instant::now();
        let mut step = pin!(step);
        loop {
            let end = self.last().max(begun) + idle_max;
            tokio::select! {
                biased;
                done = &mut step => return done,
                () = tokio::time::sleep_until(end) => (),
            }
            if self.last() + idle_max <= end {
                let message = format!("no answer within {idle_max:?}, and nothing moved");
                return Err(Status::deadline_exceeded(message));
            }
        }
    }

    fn elapsed_ns(&self) -> u64 {
        u64::try_from(self.0.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn last(&self) -> Instant {
        self.0.begun + Duration::from_nanos(self.0.last_ns.load(Ordering::Relaxed))
    }
}

/// A piece that is dropped when it is written. When its call is over it is, too; nobody waits for that one any more.
struct UnderWay {
    piece: Bytes,
    progress: Progress,
}

impl AsRef<[u8]> for UnderWay {
    fn as_ref(&self) -> &[u8] {
        &self.piece
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.progress.moved();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    const IDLE_MAX: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn what_moves_may_take_for_ever() {
        let progress = Progress::default();
        let step = async {
            for _ in 0..100 {
                sleep(Duration::from_secs(9)).await;
                progress.moved();
            }
            Ok(())
        };
        progress.limit(IDLE_MAX, step).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_stands_still_is_given_up() {
        let progress = Progress::default();
        // What was before the step does not count against it.
        sleep(Duration::from_secs(60)).await;
        let begun = Instant::now();
        let step = async {
            sleep(Duration::from_secs(3)).await;
            progress.moved();
            std::future::pending::<Result<(), Status>>().await
        };
        let status = progress.limit(IDLE_MAX, step).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
        assert_eq!(begun.elapsed().as_secs(), 13);
        assert_eq!(progress.idle().as_secs(), 10);
    }

    /// Else a peer that takes a call and refuses it each time would be called for ever.
    #[tokio::test(start_paused = true)]
    async fn what_only_moves_does_not_count_for_later_attempts() {
        let progress = Progress::default();
        sleep(Duration::from_secs(5)).await;
        progress.moved();
        assert_eq!((progress.idle().as_secs(), progress.stalled().as_secs()), (0, 5));
        progress.advanced();
        sleep(Duration::from_secs(2)).await;
        assert_eq!((progress.idle().as_secs(), progress.stalled().as_secs()), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_moves_when_it_is_taken_and_when_it_is_gone() {
        let (progress, piece) = (Progress::default(), vec![7; PART_BYTES + 1]);
        let whole: Vec<Bytes> = progress.under_way(piece.clone().into()).collect();
        assert_eq!(whole, [&piece[..]]);
        sleep(Duration::from_secs(9)).await;
        let mut parts: Vec<Bytes> = progress.under_way(piece.clone().into()).collect();
        assert_eq!((parts.concat(), parts.len()), (piece, 2), "on a slow link");
        assert_eq!(progress.idle().as_secs(), 0);
        sleep(Duration::from_secs(9)).await;
        // As HTTP/2 sends one that a window is too small for.
        drop(parts[1].split_off(1));
        drop(parts[0].split_to(3));
        assert_eq!(progress.idle().as_secs(), 9);
        parts.pop();
        assert_eq!((progress.idle().as_secs(), progress.stalled().as_secs()), (0, 18));
    }
}
