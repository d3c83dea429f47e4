//! What happens over and over is said once, and then how often it happened: a flood of lines hides what
//! matters, and costs more than what it tells of.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// How long nothing more is said of what has been said.
const QUIET: Duration = Duration::from_secs(5);

/// Something that may happen very often. Clones are of the same thing.
#[derive(Clone, Default)]
pub struct Repeated(Arc<Mutex<State>>);

type Say = Box<dyn FnOnce(u64) + Send>;

#[derive(Default)]
struct State {
    /// What is to be said of the last time it happened, while nothing is said.
    last: Option<Say>,
    /// How often it happened since something was said.
    untold: u64,
    is_quiet: bool,
}

impl std::fmt::Debug for Repeated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repeated").finish_non_exhaustive()
    }
}

impl Repeated {
    /// It happened: `say` is called now, with 1, or, if it was called a moment ago, when that is over, with how
    /// often it has happened since. To be called within a runtime.
    pub fn happened(&self, say: impl FnOnce(u64) + Send + 'static) {
        {
            let mut state = self.0.lock();
            if std::mem::replace(&mut state.is_quiet, true) {
                state.untold += 1;
                state.last = Some(Box::new(say));
                return;
            }
        }
        // Never with the lock held: whoever reads the log may be slow.
        say(1);
        let this = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(QUIET).await;
                let Some((last, untold)) = this.take_untold() else { return };
                last(untold);
            }
        });
    }

    /// What is to be said now; the next time is said at once when that is nothing.
    fn take_untold(&self) -> Option<(Say, u64)> {
        let mut state = self.0.lock();
        let last = state.last.take();
        state.is_quiet = last.is_some();
        last.map(|last| (last, std::mem::take(&mut state.untold)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_two_lines_and_every_time_is_counted() {
        let repeated = Repeated::default();
        let (sender, mut said) = tokio::sync::mpsc::unbounded_channel();
        let happen = || {
            let sender = sender.clone();
            repeated.happened(move |times| sender.send(times).unwrap());
        };
        (0..1000).for_each(|_| happen());
        assert_eq!(said.try_recv(), Ok(1));
        assert!(said.try_recv().is_err(), "the others are not said one by one");
        assert_eq!(said.recv().await, Some(999));
        // Also after a flood.
        happen();
        assert_eq!(said.recv().await, Some(1));
        tokio::time::sleep(3 * QUIET).await;
        assert!(said.try_recv().is_err(), "nothing more happened");
        happen();
        assert_eq!(said.try_recv(), Ok(1), "after a while the first is said at once again");
    }
}
