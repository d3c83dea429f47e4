//! What tasks beside the driver have to say.

use ps_core::master::Machine;
use std::time::Duration;

type Tell = Box<dyn FnOnce(&mut Machine, Duration) + Send>;

/// Tells the machine how something ended that was done beside the driver.
pub(super) struct Event {
    tell: Tell,
    /// Whether it must still be known when another process leads the job.
    pub(super) lasts: bool,
}

impl Event {
    pub(super) fn tell(self, machine: &mut Machine, now: Duration) {
        (self.tell)(machine, now);
    }
}

pub(super) fn event(tell: impl FnOnce(&mut Machine, Duration) + Send + 'static) -> Event {
    Event { tell: Box::new(tell), lasts: true }
}

/// An event that is found out again by whoever does not know it.
pub(super) fn passing_event(tell: impl FnOnce(&mut Machine, Duration) + Send + 'static) -> Event {
    Event { tell: Box::new(tell), lasts: false }
}
