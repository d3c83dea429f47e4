//! Who is in the job, as a shard hears it from the master and from workers themselves.

use super::data::check_worker;
use super::{Error, check_counts, check_protocol};
use crate::v1;
use ps_core::gate::Member;
use ps_core::ids::{Epoch, Incarnation, Life, WorkerId};
use ps_core::limits::WORKERS_MAX;

/// The master's word about who is in the job, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipUpdate {
    /// The master's epoch.
    pub epoch: Epoch,
    /// The job's life.
    pub life: Life,
    /// Which of its words; a higher one is newer.
    pub revision: u64,
    /// All workers that it knows.
    pub members: Vec<Member>,
}

impl TryFrom<v1::MembershipRequest> for MembershipUpdate {
    type Error = Error;

    fn try_from(request: v1::MembershipRequest) -> Result<Self, Error> {
        const NAME: &str = "MembershipRequest";
        let v1::MembershipRequest { epoch, life, revision, workers, .. } = request;
        check_counts(NAME, [("epoch", epoch), ("life", life), ("revision", revision)])?;
        Error::check(NAME, "workers", workers.len(), 0..=WORKERS_MAX as usize)?;
        let member = |member: v1::Member| {
            check_worker(NAME, member.worker)?;
            let counts = [("incarnation", member.incarnation), ("start_clock", member.start_clock)];
            check_counts(NAME, counts)?;
            Ok(Member {
                worker: member.worker,
                incarnation: member.incarnation,
                active: member.active,
                holds_nobody: member.holds_nobody,
                start_clock: member.start_clock,
            })
        };
        let members: Result<_, Error> = workers.into_iter().map(member).collect();
        Ok(Self { epoch, life, revision, members: members? })
    }
}

/// A worker's sign of life where there is no master, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alive {
    /// Its rank.
    pub worker: WorkerId,
    /// In which of its lives.
    pub incarnation: Incarnation,
    /// Whether it is its last.
    pub leaving: bool,
}

impl TryFrom<v1::AliveRequest> for Alive {
    type Error = Error;

    fn try_from(request: v1::AliveRequest) -> Result<Self, Error> {
        let v1::AliveRequest { worker, incarnation, leaving, protocol, .. } = request;
        check_protocol("AliveRequest", protocol)?;
        check_worker("AliveRequest", worker)?;
        check_counts("AliveRequest", [("incarnation", incarnation)])?;
        Ok(Self { worker, incarnation, leaving })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_no_job_has_are_refused() {
        let request = |workers| v1::MembershipRequest { epoch: 1, workers, ..Default::default() };
        let member = |worker| v1::Member { worker, incarnation: 2, ..Default::default() };
        let taken = MembershipUpdate::try_from(request(vec![member(WORKERS_MAX - 1)])).unwrap();
        assert_eq!((taken.epoch, taken.members[0].incarnation), (1, 2));
        let cases = [
            (vec![member(WORKERS_MAX)], "`worker`"),
            (vec![member(0); WORKERS_MAX as usize + 1], "`workers`"),
        ];
        for (workers, field) in cases {
            let error = MembershipUpdate::try_from(request(workers)).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
        let alive = |worker, incarnation| {
            let protocol = crate::PROTOCOL;
            Alive::try_from(v1::AliveRequest {
                worker,
                incarnation,
                protocol,
                ..Default::default()
            })
        };
        assert!(alive(WORKERS_MAX, 1).is_err() && alive(0, u64::MAX).is_err());
        assert!(alive(0, 1).is_ok());
    }
}
