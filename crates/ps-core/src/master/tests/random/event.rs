//! What may happen to a job.

use super::{SERVERS, WORKERS};
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Time in tenths of a second; servers beat in between, so that they live.
    Time(u64),
    Beat(usize),
    Ask(usize),
    /// The newest request once more, or an older one.
    Repeat(usize, usize),
    /// Registers anew if it must, or again.
    Register(usize),
    Die(usize),
    Evaluator,
    /// A server is silent for so many seconds, maybe longer than its lease, and comes back.
    Silence(u32, u64),
    /// A server is elsewhere.
    Move(u32),
    /// The checkpoint that is being written is complete, or failed.
    Written(bool),
    /// The master dies, and another process goes on with what was written down; whether the checkpoint that was being
    /// written was complete just before.
    Restart(bool),
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let worker = 0..WORKERS as usize + 1;
    prop_oneof![
        3 => (1_u64..40).prop_map(Event::Time),
        2 => worker.clone().prop_map(Event::Beat),
        8 => worker.clone().prop_map(Event::Ask),
        2 => (worker.clone(), 0_usize..4).prop_map(|(worker, back)| Event::Repeat(worker, back)),
        1 => worker.clone().prop_map(Event::Register),
        1 => worker.prop_map(Event::Die),
        1 => Just(Event::Evaluator),
        1 => (0..SERVERS, 1_u64..29).prop_map(|(shard, seconds)| Event::Silence(shard, seconds)),
        1 => (0..SERVERS).prop_map(Event::Move),
        2 => prop::bool::weighted(0.8).prop_map(Event::Written),
        1 => any::<bool>().prop_map(Event::Restart),
    ]
}
