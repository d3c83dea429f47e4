//! What is to be measured, and who does it: one evaluation at a time.

use super::types::{EvaluateTask, EvaluationResult, MemberId};
use std::collections::BTreeSet;

/// Evaluations to do and in work.
#[derive(Clone, Debug, Default)]
pub(super) struct Evaluations {
    pending: BTreeSet<u64>,
    wanted_final: Option<EvaluateTask>,
    assigned: Option<(MemberId, EvaluateTask)>,
}

impl Evaluations {
    /// A pass ended.
    pub(super) fn want(&mut self, pass: u64) {
        self.pending.insert(pass);
    }

    /// The weights are written: only the final evaluation counts from now on. The passes that
    /// nobody came to measure.
    pub(super) fn want_final(&mut self, pass: u64) -> BTreeSet<u64> {
        self.wanted_final = Some(EvaluateTask { pass, is_final: true });
        std::mem::take(&mut self.pending)
    }

    /// Assigns the next evaluation. The newest pass first: its weights are the closest to those
    /// that are there now; older ones follow while nothing newer is there.
    pub(super) fn assign(&mut self, member: MemberId) -> Option<EvaluateTask> {
        if self.assigned.is_some() {
            return None;
        }
        let task = match self.wanted_final.take() {
            Some(task) => task,
            None => EvaluateTask { pass: self.pending.pop_last()?, is_final: false },
        };
        self.assigned = Some((member, task));
        Some(task)
    }

    /// The result of what this member was to measure; anything else is an echo.
    pub(super) fn accept(&mut self, member: MemberId, result: &EvaluationResult) -> bool {
        self.assigned.take_if(|assigned| *assigned == (member, result.task)).is_some()
    }

    /// The member does not do what it was to measure: somebody else will.
    pub(super) fn give_back(&mut self, member: MemberId) {
        match self.assigned.take_if(|(holder, _)| *holder == member) {
            Some((_, task)) if task.is_final => self.wanted_final = Some(task),
            Some((_, task)) if self.wanted_final.is_none() => {
                self.pending.insert(task.pass);
            }
            _ => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(task: EvaluateTask) -> EvaluationResult {
        EvaluationResult {
            task,
            loss: 0.5,
            accuracy: None,
            measures: Vec::new(),
            samples: 1,
            weights_digest: 0,
            error: None,
        }
    }

    #[test]
    fn the_newest_pass_is_measured_first_and_none_is_forgotten() {
        let mut evaluations = Evaluations::default();
        evaluations.want(0);
        evaluations.want(1);
        let first = evaluations.assign(MemberId::worker(0)).unwrap();
        assert_eq!(first.pass, 1);
        assert_eq!(evaluations.assign(MemberId::worker(1)), None, "one at a time");
        assert!(!evaluations.accept(MemberId::worker(1), &result(first)), "not its own");
        assert!(evaluations.accept(MemberId::worker(0), &result(first)));
        assert!(!evaluations.accept(MemberId::worker(0), &result(first)), "an echo");
        assert_eq!(evaluations.assign(MemberId::worker(0)).unwrap().pass, 0);
    }

    #[test]
    fn what_a_lost_member_had_goes_to_another() {
        let mut evaluations = Evaluations::default();
        evaluations.want(3);
        let task = evaluations.assign(MemberId::worker(0)).unwrap();
        evaluations.give_back(MemberId::worker(1));
        evaluations.give_back(MemberId::worker(0));
        assert_eq!(evaluations.assign(MemberId::worker(1)), Some(task));
    }

    #[test]
    fn the_final_one_replaces_the_pending_ones() {
        let mut evaluations = Evaluations::default();
        (0..3).for_each(|pass| evaluations.want(pass));
        assert_eq!(evaluations.want_final(2).len(), 3);
        let task = evaluations.assign(MemberId::worker(0)).unwrap();
        assert!(task.is_final);
        evaluations.give_back(MemberId::worker(0));
        assert_eq!(evaluations.assign(MemberId::worker(1)), Some(task));
    }
}
