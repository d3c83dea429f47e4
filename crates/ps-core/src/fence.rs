//! Who may still change weights: the shard's epoch and each worker's incarnation, which only grow.

use crate::ids::{Epoch, Incarnation, WorkerId};
use std::collections::BTreeMap;

/// Why a caller is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    /// The caller's epoch is over.
    #[error("the call's epoch is over; the shard is in epoch {current}: refresh and retry")]
    StaleEpoch { current: Epoch },
    /// The worker was superseded, or its lease expired.
    #[error(
        "worker {worker} incarnation {found} is superseded by incarnation {current}: register anew"
    )]
    StaleIncarnation { worker: WorkerId, found: Incarnation, current: Incarnation },
    /// The caller is in an epoch that the shard has not heard of from the master yet.
    #[error("the call's epoch is ahead of what the shard has heard from the master: retry")]
    EpochNotYetKnown,
    /// The caller knows something newer than the shard: the master's word is still on its way.
    #[error("worker {worker} is ahead of what the shard has heard from the master: retry")]
    NotYetKnown { worker: WorkerId },
}

/// The newest epoch and incarnations a shard has heard of.
#[derive(Clone, Debug, Default)]
pub struct Fence {
    epoch: Epoch,
    managed: bool,
    incarnations: BTreeMap<WorkerId, Incarnation>,
}

impl Fence {
    /// A fence that admits nobody yet. `managed`: a master says who may; otherwise newer
    /// incarnations and epochs announce themselves.
    pub fn new(managed: bool) -> Self {
        Self { managed, ..Self::default() }
    }

    /// The shard's epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether a master says who may change weights.
    pub fn is_managed(&self) -> bool {
        self.managed
    }

    /// Whether this caller may change weights now.
    ///
    /// # Errors
    /// It is older than what the shard knows, or newer and must wait for the master's word.
    pub fn check(
        &self,
        epoch: Epoch,
        worker: WorkerId,
        incarnation: Incarnation,
    ) -> Result<(), Error> {
        if epoch < self.epoch {
            return Err(Error::StaleEpoch { current: self.epoch });
        }
        let known = self.incarnations.get(&worker).copied();
        match known {
            Some(current) if incarnation < current => {
                Err(Error::StaleIncarnation { worker, found: incarnation, current })
            }
            Some(current) if incarnation == current && epoch == self.epoch => Ok(()),
            _ => Err(Error::NotYetKnown { worker }),
        }
    }

    /// Whether a caller of this epoch, whoever it is, may change anything now.
    ///
    /// # Errors
    /// Its epoch is over, or the master's word about it is still on its way.
    pub fn check_epoch(&self, epoch: Epoch) -> Result<(), Error> {
        if epoch < self.epoch || (self.managed && epoch == 0) {
            return Err(Error::StaleEpoch { current: self.epoch });
        }
        if self.managed && epoch > self.epoch {
            return Err(Error::EpochNotYetKnown);
        }
        Ok(())
    }

    /// Whether [`Fence::admit`] would change anything, so that the write lock is rarely taken.
    pub fn would_admit(&self, epoch: Epoch, worker: WorkerId, incarnation: Incarnation) -> bool {
        let newer = self.incarnations.get(&worker).is_none_or(|&known| incarnation > known);
        !self.managed && (newer || epoch > self.epoch)
    }

    /// Takes the word of a worker that there is no master to vouch for.
    pub fn admit(&mut self, epoch: Epoch, worker: WorkerId, incarnation: Incarnation) {
        if !self.managed {
            self.epoch = self.epoch.max(epoch);
            self.raise(worker, incarnation);
        }
    }

    /// Raises a worker's incarnation; a lower one changes nothing. Whether it rose.
    pub fn raise(&mut self, worker: WorkerId, incarnation: Incarnation) -> bool {
        let known = self.incarnations.entry(worker).or_insert(0);
        let rises = incarnation > *known;
        *known = (*known).max(incarnation);
        rises
    }

    /// Enters an epoch; an older one is refused.
    ///
    /// # Errors
    /// The epoch is over.
    pub fn enter(&mut self, epoch: Epoch) -> Result<(), Error> {
        if epoch < self.epoch {
            return Err(Error::StaleEpoch { current: self.epoch });
        }
        self.epoch = epoch;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_is_refused_newer_waits_for_the_master() {
        let mut fence = Fence::new(true);
        fence.enter(3).unwrap();
        fence.raise(0, 5);
        assert_eq!(fence.check(3, 0, 5), Ok(()));
        assert_eq!(fence.check(2, 0, 5), Err(Error::StaleEpoch { current: 3 }));
        let stale = Error::StaleIncarnation { worker: 0, found: 4, current: 5 };
        assert_eq!(fence.check(3, 0, 4), Err(stale));
        assert_eq!(fence.check(3, 0, 6), Err(Error::NotYetKnown { worker: 0 }));
        assert_eq!(fence.check(4, 0, 5), Err(Error::NotYetKnown { worker: 0 }));
        assert_eq!(fence.check(3, 1, 1), Err(Error::NotYetKnown { worker: 1 }));
        assert!(!fence.raise(0, 4));
        assert_eq!(fence.check(3, 0, 5), Ok(()));
        assert_eq!(fence.enter(2), Err(Error::StaleEpoch { current: 3 }));
    }

    #[test]
    fn a_model_is_created_in_the_masters_epoch_only() {
        let mut fence = Fence::new(true);
        assert_eq!(fence.check_epoch(0), Err(Error::StaleEpoch { current: 0 }));
        assert_eq!(fence.check_epoch(1), Err(Error::EpochNotYetKnown));
        fence.enter(1).unwrap();
        assert_eq!(fence.check_epoch(1), Ok(()));
        assert_eq!(Fence::new(false).check_epoch(0), Ok(()));
    }

    #[test]
    fn without_a_master_the_newest_admits_itself() {
        let mut fence = Fence::new(false);
        assert!(fence.would_admit(0, 7, 100));
        fence.admit(0, 7, 100);
        assert!(!fence.would_admit(0, 7, 100));
        assert_eq!(fence.check(0, 7, 100), Ok(()));
        fence.admit(0, 7, 200);
        assert!(matches!(fence.check(0, 7, 100), Err(Error::StaleIncarnation { .. })));
    }
}
