//! Time as an argument.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where a process gets its time from.
pub trait TimeSource: Send + Sync {
    /// Monotonic time since some start.
    fn now(&self) -> Duration;

    /// Milliseconds since 1970, for incarnations and for people; may jump.
    fn unix_ms(&self) -> u64;
}

/// A cheap handle to a [`TimeSource`].
pub type Clock = Arc<dyn TimeSource>;

/// A clock that is ahead of another one: the time of a process goes on in the next one.
pub fn ahead(clock: Clock, by: Duration) -> Clock {
    Arc::new(ClockAhead { clock, by })
}

struct ClockAhead {
    clock: Clock,
    by: Duration,
}

impl TimeSource for ClockAhead {
    fn now(&self) -> Duration {
        self.clock.now() + self.by
    }

    fn unix_ms(&self) -> u64 {
        self.clock.unix_ms()
    }
}

/// The machine's time. Its monotonic part is tokio's, which tests can pause.
#[derive(Debug)]
pub struct SystemClock {
    start: tokio::time::Instant,
}

impl SystemClock {
    /// A clock that starts at zero now.
    pub fn start() -> Clock {
        Arc::new(Self { start: tokio::time::Instant::now() })
    }
}

impl TimeSource for SystemClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
