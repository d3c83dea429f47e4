//! Who may still change weights: the job's life, the shard's epoch and each worker's incarnation, all of
//! which only grow.

use crate::ids::{Epoch, Incarnation, Life, WorkerId};
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
    /// The caller knows something newer than the shard: the master's word is still on its way.
    #[error("worker {worker} is ahead of what the shard has heard from the master: retry")]
    NotYetKnown { worker: WorkerId },
}

/// The newest epoch and incarnations a shard has heard of.
#[derive(Clone, Debug, Default)]
pub struct Fence {
    /// Incarnations below it are of earlier lives of the job, whichever rank they had.
    life: Life,
    epoch: Epoch,
    managed: bool,
    incarnations: BTreeMap<WorkerId, Incarnation>,
}

/// Who is shut out, as it is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fenced {
    /// The job's life.
    pub life: Life,
    /// The shard's epoch.
    pub epoch: Epoch,
    /// Of each worker the incarnation of which earlier ones are over.
    pub incarnations: BTreeMap<WorkerId, Incarnation>,
}

impl Fence {
    /// A fence that admits nobody yet. `managed`: a master says who may; otherwise newer
    /// incarnations and epochs announce themselves.
    pub fn new(managed: bool) -> Self {
        Self { managed, ..Self::default() }
    }

    /// Who is shut out now.
    pub fn fenced(&self) -> Fenced {
        let Self { life, epoch, ref incarnations, .. } = *self;
        Fenced { life, epoch, incarnations: incarnations.clone() }
    }

    /// Shuts out whoever was shut out before the process was another one.
    pub fn restore(&mut self, fenced: Fenced) {
        let Fenced { life, epoch, incarnations } = fenced;
        (self.life, self.epoch, self.incarnations) = (life, epoch, incarnations);
    }

    /// The shard's epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The job's life; 0 before a master told it.
    pub fn life(&self) -> Life {
        self.life
    }

    /// The highest life, epoch or incarnation that the shard has heard of: a new life starts above it.
    pub fn highest(&self) -> Life {
        let incarnations = self.incarnations.values().copied();
        incarnations.chain([self.life, self.epoch]).max().unwrap_or(0)
    }

    /// Whether an incarnation is of an earlier life.
    pub fn is_over(&self, incarnation: Incarnation) -> bool {
        incarnation < self.life
    }

    /// Whether an incarnation of this worker is over, of an earlier life or of this one.
    pub fn is_superseded(&self, worker: WorkerId, incarnation: Incarnation) -> bool {
        let known = self.incarnations.get(&worker);
        self.is_over(incarnation) || known.is_some_and(|known| incarnation < *known)
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
        if self.is_over(incarnation) {
            let current = self.life;
            return Err(Error::StaleIncarnation { worker, found: incarnation, current });
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

    /// Whether this caller may create the model now. Without a master anybody may.
    ///
    /// # Errors
    /// As of [`Fence::check`], or it is of a job without a master.
    pub fn check_start(
        &self,
        epoch: Epoch,
        worker: WorkerId,
        incarnation: Incarnation,
    ) -> Result<(), Error> {
        if epoch < self.epoch || (self.managed && epoch == 0) {
            return Err(Error::StaleEpoch { current: self.epoch });
        }
        if self.managed { self.check(epoch, worker, incarnation) } else { Ok(()) }
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

    /// Enters an epoch of a life of the job; an older one is refused. Whether another life began.
    ///
    /// # Errors
    /// The epoch is over.
    pub fn enter(&mut self, epoch: Epoch, life: Life) -> Result<bool, Error> {
        if epoch < self.epoch {
            return Err(Error::StaleEpoch { current: self.epoch });
        }
        self.epoch = epoch;
        let begins = life > self.life;
        self.life = self.life.max(life);
        Ok(begins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_is_refused_newer_waits_for_the_master() {
        let mut fence = Fence::new(true);
        fence.enter(3, 1).unwrap();
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
        assert_eq!(fence.enter(2, 1), Err(Error::StaleEpoch { current: 3 }));
    }

    #[test]
    fn whoever_is_of_an_earlier_life_is_stale_whatever_its_rank() {
        let mut fence = Fence::new(true);
        assert_eq!(fence.enter(100, 100), Ok(true));
        fence.raise(0, 101);
        assert_eq!(fence.enter(101, 100), Ok(false));
        assert_eq!(fence.highest(), 101);
        assert_eq!(fence.enter(200, 200), Ok(true));
        for (worker, found) in [(0, 101), (7, 199)] {
            let stale = Error::StaleIncarnation { worker, found, current: 200 };
            assert_eq!(fence.check(200, worker, found), Err(stale));
        }
        assert_eq!(fence.check(200, 7, 200), Err(Error::NotYetKnown { worker: 7 }));
        assert_eq!(fence.highest(), 200);
    }

    #[test]
    fn a_model_is_created_by_whom_the_master_vouches_for() {
        let mut fence = Fence::new(true);
        assert_eq!(fence.check_start(0, 0, 1), Err(Error::StaleEpoch { current: 0 }));
        assert_eq!(fence.check_start(1, 0, 1), Err(Error::NotYetKnown { worker: 0 }));
        fence.enter(1, 1).unwrap();
        fence.raise(0, 1);
        assert_eq!(fence.check_start(1, 0, 1), Ok(()));
        fence.enter(9, 9).unwrap();
        let stale = Error::StaleIncarnation { worker: 0, found: 1, current: 9 };
        assert_eq!(fence.check_start(9, 0, 1), Err(stale));
        assert_eq!(Fence::new(false).check_start(0, 0, 1), Ok(()));
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
