//! The best weights of a program: it sends those that it measured, and they count when they are written.

use super::{Machine, repeated};
use crate::ids::WorkerId;
use crate::keeping::Kept;
use crate::master::types::{
    Asking, Caller, EvaluateTask, EvaluationResult, MeasuresAnswer, MeasuresReport, Rejection,
    WeightsWanted,
};
use crate::measures::Measure;
use crate::scores::{EvaluationSet, Scores};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a program measured that is better than the best so far, and whose weights are not written yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Unwritten {
    caller: Caller,
    asking: Asking,
    task: EvaluateTask,
    kept: Kept,
    accuracy: Option<f64>,
    measures: Vec<Measure>,
}

impl Unwritten {
    fn is_of(&self, caller: Caller, asking: Asking) -> bool {
        (self.caller, self.asking) == (caller, asking)
    }

    fn result(&self) -> (EvaluationSet, Scores) {
        (self.kept.set, Scores::of_program(self.accuracy, self.measures.clone()))
    }
}

impl Machine {
    pub(super) fn remember_measured(
        &mut self,
        caller: Caller,
        asking: Asking,
        answer: &MeasuresAnswer,
    ) {
        self.programs.measured.insert(caller.member.index, (asking, answer.clone()));
    }

    /// What was measured waits for its weights.
    pub(super) fn await_weights(
        &mut self,
        report: &MeasuresReport,
        task: EvaluateTask,
        kept: &Kept,
    ) {
        let Scores { accuracy, measures, .. } = report.scores.clone();
        let (caller, asking, kept) = (report.caller, report.asking, kept.clone());
        self.programs.unwritten =
            Some(Unwritten { caller, asking, task, kept, accuracy, measures });
    }

    /// A worker's program sends no weights any more.
    pub(super) fn give_up_unwritten_of(&mut self, worker: WorkerId) {
        let is_its = |unwritten: &Unwritten| unwritten.caller.member.index == worker;
        if self.programs.unwritten.as_ref().is_some_and(is_its) {
            self.give_up_unwritten();
        }
    }

    /// Nobody sends weights that something was measured of before.
    pub(in crate::master) fn give_up_unwritten(&mut self) {
        if let Some(unwritten) = self.programs.unwritten.take() {
            self.settle(&unwritten, Err("the program did not send them".to_owned()));
        }
    }

    /// A program is about to send the weights that it measured.
    ///
    /// # Errors
    /// Its worker's lease is over, or they are not wanted.
    pub fn weights_wanted(
        &self,
        caller: Caller,
        asking: Asking,
    ) -> Result<WeightsWanted, Rejection> {
        let worker = self.check_program(caller)?;
        if let Some(unwritten) = &self.programs.unwritten
            && unwritten.is_of(caller, asking)
        {
            return Ok(WeightsWanted::Yes(unwritten.kept.clone()));
        }
        let answered = repeated(&self.programs.measured, worker, asking);
        let answered = answered.filter(|answer| answer.keep.is_none());
        let wanted = answered.map(WeightsWanted::Before);
        wanted.ok_or(Rejection::NoWeightsWanted { member: caller.member })
    }

    /// The weights that a program sent are written, or why they are not. Also when the job wants no more steps: they are there.
    ///
    /// # Errors
    /// Its worker's lease is over, or they are not wanted any more.
    pub fn weights_written(
        &mut self,
        (caller, asking): (Caller, Asking),
        written: Result<Kept, String>,
        now: Duration,
    ) -> Result<MeasuresAnswer, Rejection> {
        self.handle(
            now,
            |machine| machine.take_written((caller, asking), written),
            |machine, taken| match taken? {
                Written::Before(answer) => Ok(answer),
                Written::Now { is_best } => {
                    let is_ended = !machine.lifecycle.is_training();
                    let answer = MeasuresAnswer { is_best, is_ended, keep: None };
                    machine.remember_measured(caller, asking, &answer);
                    Ok(answer)
                }
            },
        )
    }

    fn take_written(
        &mut self,
        (caller, asking): (Caller, Asking),
        written: Result<Kept, String>,
    ) -> Result<Written, Rejection> {
        if let WeightsWanted::Before(answer) = self.weights_wanted(caller, asking)? {
            return Ok(Written::Before(answer));
        }
        let unwritten = self.programs.unwritten.take();
        let is_best = unwritten.is_some_and(|unwritten| self.settle(&unwritten, written));
        Ok(Written::Now { is_best })
    }

    /// Compares what was measured, now that it is known what became of its weights; whether it is the best.
    fn settle(&mut self, unwritten: &Unwritten, written: Result<Kept, String>) -> bool {
        let is_best = self.weights_kept(written);
        let (set, scores) = unwritten.result();
        self.record_evaluation(&unwritten.task, &EvaluationResult::of(set, scores), is_best);
        is_best
    }
}

/// Weights that a program sent.
enum Written {
    /// They were taken before, and this was answered.
    Before(MeasuresAnswer),
    /// They were taken.
    Now { is_best: bool },
}
