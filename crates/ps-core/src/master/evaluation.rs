//! What is to be measured, and who does it: one evaluation at a time, the newest that is due.

use super::types::{EvaluateTask, EvaluationResult, MemberId};
use serde::{Deserialize, Serialize};

/// Evaluations to do and in work.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Evaluations {
    /// The pass of the one that is due.
    pending: Option<u64>,
    /// Of the written weights.
    wanted_final: Option<EvaluateTask>,
    assigned: Option<(MemberId, EvaluateTask)>,
    /// Numbers that were given away.
    numbers: u64,
    /// Evaluations that were due and that a newer one took the place of.
    skipped: u64,
    /// The step at which the next one is due, where they are counted in steps.
    next_step: u64,
    /// The step at which the newest result's weights were read.
    measured_at: Option<u64>,
}

impl Evaluations {
    /// One is due. Weights that nobody came to measure are gone: a newer one takes their place. The pass whose place it takes.
    pub(super) fn want(&mut self, pass: u64) -> Option<u64> {
        let skipped = self.pending.replace(pass);
        self.skipped += u64::from(skipped.is_some());
        skipped
    }

    /// So many steps are done: one is due whenever a multiple of `every` is reached.
    pub(super) fn want_at(&mut self, step: u64, every: u64, pass: u64) {
        let due = step / every.max(1);
        let next = self.next_step.max(1);
        if due >= next {
            self.skipped += due - next;
            self.next_step = due + 1;
            self.want(pass);
        }
    }

    /// The job goes on after so many steps: what was due before is of an earlier life.
    pub(super) fn resume_at(&mut self, step: u64, every: u64) {
        self.next_step = step / every.max(1) + 1;
    }

    /// The last weights are to be measured, unless they have been.
    pub(super) fn want_last(&mut self, pass: u64, step: u64) {
        let is_measured = self.measured_at == Some(step);
        let is_under_way = self.assigned.as_ref().is_some_and(|(_, task)| task.step == step);
        // What is due for the last pass is of the same weights.
        let due = self.pending.take().filter(|due| *due != pass);
        self.skipped += u64::from(due.is_some());
        if !is_measured && !is_under_way {
            self.pending = Some(pass);
        }
    }

    /// The weights are written: only the final evaluation counts from now on. What was due for them is
    /// not skipped by that, if they are the last ones.
    pub(super) fn want_final(&mut self, task: EvaluateTask) {
        let is_covered = |due: u64| due == task.pass && !task.of_file;
        self.skipped += u64::from(self.pending.take().is_some_and(|due| !is_covered(due)));
        self.wanted_final = Some(task);
    }

    /// Nothing but the final evaluation is wanted any more.
    pub(super) fn give_up(&mut self) {
        self.skipped += u64::from(self.pending.take().is_some());
        self.skipped += u64::from(self.assigned.take().is_some());
    }

    /// Assigns the next evaluation: `task` says what is known of the weights as they are now.
    pub(super) fn assign(
        &mut self,
        member: MemberId,
        task: impl FnOnce(u64) -> EvaluateTask,
    ) -> Option<EvaluateTask> {
        if self.assigned.is_some() {
            return None;
        }
        let task = match self.wanted_final.take() {
            Some(task) => task,
            None => task(self.pending.take()?),
        };
        self.numbers += 1;
        let task = EvaluateTask { number: self.numbers, ..task };
        self.assigned = Some((member, task.clone()));
        Some(task)
    }

    /// What the result is of, if this member was to measure it; anything else is an echo.
    pub(super) fn accept(
        &mut self,
        member: MemberId,
        result: &EvaluationResult,
    ) -> Option<EvaluateTask> {
        let is_of = |(holder, task): &mut (MemberId, EvaluateTask)| {
            *holder == member && task.number == result.number
        };
        let (_, task) = self.assigned.take_if(is_of)?;
        if result.error.is_none() {
            self.measured_at = Some(task.step);
        }
        Some(task)
    }

    /// The member does not do what it was to measure: somebody else will, unless a newer one is due.
    pub(super) fn give_back(&mut self, member: MemberId) {
        match self.assigned.take_if(|(holder, _)| *holder == member) {
            Some((_, task)) if task.is_final => self.wanted_final = Some(task),
            Some((_, task)) if self.wanted_final.is_none() && self.pending.is_none() => {
                self.pending = Some(task.pass);
            }
            Some(_) => self.skipped += 1,
            None => (),
        }
    }

    /// Whether nothing is due or in work.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_none() && self.wanted_final.is_none() && self.assigned.is_none()
    }

    /// Evaluations that were due and not done.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKER: MemberId = MemberId { role: super::super::types::Role::Worker, index: 0 };
    const OTHER: MemberId = MemberId { index: 1, ..WORKER };

    fn result(task: &EvaluateTask) -> EvaluationResult {
        EvaluationResult {
            number: task.number,
            test: None,
            validation: None,
            weights_digest: 0,
            is_kept: false,
            keep_error: None,
            error: None,
        }
    }

    fn assign(evaluations: &mut Evaluations, member: MemberId) -> Option<EvaluateTask> {
        evaluations.assign(member, |pass| EvaluateTask { pass, ..EvaluateTask::default() })
    }

    #[test]
    fn the_newest_is_measured_and_those_that_it_replaced_are_counted() {
        let mut evaluations = Evaluations::default();
        assert_eq!([0, 1, 2].map(|pass| evaluations.want(pass)), [None, Some(0), Some(1)]);
        let first = assign(&mut evaluations, WORKER).unwrap();
        assert_eq!((first.pass, evaluations.skipped()), (2, 2));
        evaluations.want(3);
        assert_eq!(assign(&mut evaluations, OTHER), None, "one at a time");
        assert_eq!(evaluations.accept(OTHER, &result(&first)), None, "not its own");
        assert_eq!(evaluations.accept(WORKER, &result(&first)), Some(first.clone()));
        assert_eq!(evaluations.accept(WORKER, &result(&first)), None, "an echo");
        assert_eq!(assign(&mut evaluations, WORKER).unwrap().pass, 3);
        assert_eq!(assign(&mut evaluations, WORKER), None);
        assert_eq!(evaluations.skipped(), 2);
    }

    #[test]
    fn steps_that_are_leapt_over_are_skipped() {
        let mut evaluations = Evaluations::default();
        [0, 9, 10, 11, 19].into_iter().for_each(|step| evaluations.want_at(step, 10, 0));
        assert!(assign(&mut evaluations, WORKER).is_some());
        evaluations.give_up();
        assert_eq!(evaluations.skipped(), 1, "it was in work");
        evaluations.want_at(45, 10, 1);
        assert_eq!(evaluations.skipped(), 3, "20 and 30, and 40 is due");
        assert_eq!(assign(&mut evaluations, WORKER).unwrap().pass, 1);
        let mut resumed = Evaluations::default();
        resumed.resume_at(45, 10);
        resumed.want_at(49, 10, 1);
        assert!(resumed.is_idle());
        resumed.want_at(50, 10, 1);
        assert!(!resumed.is_idle() && resumed.skipped() == 0);
    }

    #[test]
    fn what_a_lost_member_had_goes_to_another() {
        let mut evaluations = Evaluations::default();
        evaluations.want(3);
        let task = assign(&mut evaluations, WORKER).unwrap();
        evaluations.give_back(OTHER);
        evaluations.give_back(WORKER);
        let again = assign(&mut evaluations, OTHER).unwrap();
        assert_eq!(again.pass, task.pass);
        assert_eq!(evaluations.accept(OTHER, &result(&task)), None, "that of another time");
        // Unless a newer one is due.
        evaluations.want(4);
        evaluations.give_back(OTHER);
        assert_eq!(assign(&mut evaluations, OTHER).unwrap().pass, 4);
        assert_eq!(evaluations.skipped(), 1);
    }

    #[test]
    fn the_last_weights_are_measured_once() {
        let mut evaluations = Evaluations::default();
        let at = |pass, step| EvaluateTask { pass, step, ..EvaluateTask::default() };
        evaluations.want(0);
        let task = evaluations.assign(WORKER, |pass| at(pass, 10)).unwrap();
        evaluations.want(1);
        evaluations.want_last(1, 20);
        assert!(!evaluations.is_idle());
        evaluations.accept(WORKER, &result(&task));
        let last = evaluations.assign(WORKER, |pass| at(pass, 20)).unwrap();
        evaluations.want_last(1, 20);
        evaluations.accept(WORKER, &result(&last));
        assert!(evaluations.is_idle());
        evaluations.want_last(1, 20);
        assert!(evaluations.is_idle());
    }

    #[test]
    fn the_final_one_replaces_what_is_due() {
        let mut evaluations = Evaluations::default();
        evaluations.want(2);
        let wanted = EvaluateTask { pass: 2, is_final: true, ..EvaluateTask::default() };
        evaluations.want_final(wanted);
        assert_eq!(evaluations.skipped(), 0, "they are the same weights");
        let task = assign(&mut evaluations, WORKER).unwrap();
        assert!(task.is_final);
        evaluations.give_back(WORKER);
        assert!(assign(&mut evaluations, OTHER).unwrap().is_final);
        let mut evaluations = Evaluations::default();
        evaluations.want(2);
        evaluations.want_final(EvaluateTask { pass: 2, of_file: true, ..EvaluateTask::default() });
        assert_eq!(evaluations.skipped(), 1, "the file has others");
    }
}
