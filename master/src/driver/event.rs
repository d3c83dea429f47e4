//! What tasks beside the driver have to say.

use ps_core::master::Machine;
use std::time::Duration;

/// Tells the machine how something ended that was done beside the driver.
pub(super) type Event = Box<dyn FnOnce(&mut Machine, Duration) + Send>;

pub(super) fn event(tell: impl FnOnce(&mut Machine, Duration) + Send + 'static) -> Event {
    Box::new(tell)
}
