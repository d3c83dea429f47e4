//! The pushes that may still be sent again, and so must not be counted twice.

use crate::ids::{Incarnation, PushId, Seq, WorkerId};
use crate::journal::PushRecord;
use std::collections::BTreeMap;

/// One worker's, of its newest incarnation.
#[derive(Default)]
struct OfWorker {
    incarnation: Incarnation,
    /// All below it are over.
    oldest: Seq,
    /// Of each that was begun its place among all pushes of the shard, and its loss.
    begun: BTreeMap<Seq, (u64, f32)>,
}

/// The pushes that may still be sent again: of each worker no more than a dedup window has.
#[derive(Default)]
pub(super) struct Pushes {
    /// Pushes that were begun so far.
    count: u64,
    workers: BTreeMap<WorkerId, OfWorker>,
}

impl Pushes {
    /// Takes notice of a push that is begun, or met again; whether it is new. So many came before it.
    pub(super) fn begin(&mut self, push: &PushRecord, place: u64) -> bool {
        let PushId { worker, incarnation, seq } = push.id;
        let known = self.workers.entry(worker).or_default();
        if known.incarnation < incarnation {
            *known = OfWorker { incarnation, ..OfWorker::default() };
        }
        if incarnation < known.incarnation || seq < known.oldest {
            return false;
        }
        if known.oldest < push.oldest {
            known.oldest = push.oldest;
            known.begun = known.begun.split_off(&push.oldest);
        }
        if known.begun.contains_key(&seq) {
            return false;
        }
        known.begun.insert(seq, (place, push.loss));
        self.count = place + 1;
        true
    }

    /// How many pushes were begun before this one, and its loss. Of one that was begun before what the journal stands on
    /// nobody knows: none, as far as this journal goes.
    pub(super) fn find(&self, id: &PushId) -> (u64, Option<f32>) {
        let known = self.workers.get(&id.worker);
        let known = known.filter(|known| known.incarnation == id.incarnation);
        match known.and_then(|known| known.begun.get(&id.seq)) {
            Some((place, loss)) => (*place, Some(*loss)),
            None => (self.count, None),
        }
    }
}
