//! Lines that would come by the thousand: the first at once, later ones now and then, with their number.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How often it is told that there were more.
const EVERY: Duration = Duration::from_secs(10);

/// Events of one kind, of which only some are told.
#[derive(Debug, Default)]
pub struct NowAndThen(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    told: Option<Instant>,
    untold: u64,
}

impl NowAndThen {
    /// One more: how many have come since the last that was told, if it is time to tell this one.
    pub fn is_due(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        state.untold += 1;
        if state.told.is_some_and(|told| now.duration_since(told) < EVERY) {
            return None;
        }
        state.told = Some(now);
        Some(std::mem::take(&mut state.untold))
    }
}

/// What to add to a line that stands for so many.
pub fn with_others(count: u64) -> String {
    match count {
        0 | 1 => String::new(),
        count => format!(" ({} more like it since the last such line)", count - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_is_told_and_then_one_for_all_others() {
        let events = NowAndThen::default();
        let told = |count: u32| (0..count).filter_map(|_| events.is_due()).collect::<Vec<_>>();
        assert_eq!(told(3000), [1]);
        tokio::time::advance(EVERY).await;
        assert_eq!(told(94), [3000]);
        tokio::time::advance(EVERY * 3).await;
        assert_eq!(told(1), [94]);
        assert_eq!(with_others(1), "");
        assert_eq!(with_others(94), " (93 more like it since the last such line)");
    }
}
