//! What programs that do the workers' work ask the master for, and tell it (docs/adr/0045).

mod awaited;
mod kept;

use super::Machine;
use super::leases::PassEnd;
use super::selection::Compared;
use super::types::{
    Asking, Caller, EvaluateTask, EvaluationResult, Level, MeasuresAnswer, MeasuresReport,
    MemberId, Rejection, Role, SamplesAnswer, SamplesRequest,
};
use crate::ids::WorkerId;
use crate::keeping::Kept;
use crate::learning::Losses;
use crate::program_samples::{Offer, ProgramSamples};
use crate::scores::EvaluationSet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a program waits at the end of a pass before it asks again: the last leases are a batch long.
const WAIT: Duration = Duration::from_millis(20);

/// What is known of the workers' programs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Programs {
    samples: ProgramSamples,
    /// The last answer to each worker's program, for when it is lost.
    answered: BTreeMap<WorkerId, (Asking, SamplesAnswer)>,
    /// The same of what was measured.
    measured: BTreeMap<WorkerId, (Asking, MeasuresAnswer)>,
    /// What is better than the best so far, until its weights are written.
    #[serde(default)]
    unwritten: Option<kept::Unwritten>,
    #[serde(default)]
    awaited: awaited::Awaited,
    /// Samples of a step, as the last program that asked has them.
    #[serde(default)]
    batch: u64,
    /// Passes that ended and were not yet taken notice of.
    ended: Vec<PassEnd>,
}

/// The answer to a request that came before. Who was overtaken by a later one does not wait for an answer, and gets that one's.
fn repeated<T: Clone>(
    answered: &BTreeMap<WorkerId, (Asking, T)>,
    worker: WorkerId,
    asking: Asking,
) -> Option<T> {
    let (known, answer) = answered.get(&worker)?;
    (known.process == asking.process && asking.number <= known.number).then(|| answer.clone())
}

impl Programs {
    /// How far they are.
    pub(super) fn samples(&self) -> &ProgramSamples {
        &self.samples
    }

    /// Goes on where a checkpoint is; whether it can.
    pub(super) fn resume(&mut self, samples: &ProgramSamples) -> bool {
        self.samples = samples.clone();
        samples.is_sound()
    }

    /// Steps of all programs together, as far as they were told.
    pub(super) fn steps(&self) -> u64 {
        self.samples.done().checked_div(self.batch).unwrap_or(0)
    }

    /// Passes that ended since the last call, in order.
    pub(super) fn take_ended(&mut self) -> Vec<PassEnd> {
        std::mem::take(&mut self.ended)
    }

    /// What a worker's program held goes to others; how many samples that is.
    pub(super) fn give_back(&mut self, worker: WorkerId) -> u64 {
        self.samples.give_back(worker)
    }

    fn finish(&mut self, worker: WorkerId, lease: u64) {
        let pass = self.samples.pass();
        if self.samples.finish(worker, lease) {
            self.ended.push(PassEnd { pass, losses: Losses::default(), skipped: BTreeMap::new() });
        }
    }

    /// The pass that was trained last, from 0.
    fn last_pass(&self) -> u64 {
        let pass = self.samples.pass();
        if self.samples.is_begun() { pass } else { pass.saturating_sub(1) }
    }
}

impl Machine {
    /// A worker's program has trained some samples, and wants others.
    ///
    /// # Errors
    /// Its worker's lease is over, or others have other samples.
    pub fn next_samples(
        &mut self,
        request: &SamplesRequest,
        now: Duration,
    ) -> Result<SamplesAnswer, Rejection> {
        self.handle(
            now,
            |machine| machine.take_trained(request),
            |machine, taken| {
                if let Some(known) = taken? {
                    return Ok(known);
                }
                let answer = machine.offer_samples(request);
                let worker = request.caller.member.index;
                let must_wait = matches!(answer, SamplesAnswer::Wait(_)) && request.wants_lease;
                machine.programs.awaited.asked(worker, must_wait, now);
                machine.programs.answered.insert(worker, (request.asking, answer));
                Ok(answer)
            },
        )
    }

    /// The answer to a request that came before; any other one's report is taken.
    fn take_trained(
        &mut self,
        request: &SamplesRequest,
    ) -> Result<Option<SamplesAnswer>, Rejection> {
        let SamplesRequest { caller, asking, .. } = *request;
        let worker = self.check_program(caller)?;
        let programs = &mut self.programs;
        programs.batch = request.batch;
        if let Some(known) = repeated(&programs.answered, worker, asking) {
            return Ok(Some(known));
        }
        match programs.samples.samples() {
            Some(known) if known != request.samples => {
                let (member, found) = (caller.member, request.samples);
                let asker = self.registry.process(member).map(|process| process.address.clone());
                return Err(Rejection::OtherSamples {
                    member,
                    asker: asker.unwrap_or_default(),
                    found,
                    known,
                });
            }
            Some(_) => (),
            None => programs.samples.begin(request.samples),
        }
        let is_new = programs
            .answered
            .get(&worker)
            .is_some_and(|(known, _)| known.process != asking.process);
        if !is_new {
            request.finished.iter().for_each(|lease| programs.finish(worker, *lease));
        }
        if is_new || request.gives_back {
            self.take_samples_back(worker);
        }
        Ok(None)
    }

    fn offer_samples(&mut self, request: &SamplesRequest) -> SamplesAnswer {
        if !self.lifecycle.is_training() {
            return SamplesAnswer::Ended;
        }
        if !request.wants_lease {
            return SamplesAnswer::Wait(WAIT);
        }
        let (worker, workers) = (request.caller.member.index, u64::from(self.config.workers));
        match self.programs.samples.offer(worker, request.pass, workers, request.batch) {
            Offer::Lease(lease, at) => SamplesAnswer::Lease {
                lease,
                pass: self.programs.samples.pass(),
                start: at.start,
                end: at.end,
            },
            Offer::Others => SamplesAnswer::Wait(WAIT),
            Offer::Over => SamplesAnswer::Over,
        }
    }

    /// What a program held that ended, or began anew, goes to others.
    pub(super) fn take_samples_back(&mut self, worker: WorkerId) {
        let samples = self.programs.give_back(worker);
        if samples > 0 {
            let (pass, worker) = (
                self.programs.samples.pass() + 1,
                self.registry.describe(MemberId::worker(worker)),
            );
            self.log(
                Level::Info,
                format!(
                    "{samples} samples of pass {pass} go from the program of {worker} to others"
                ),
            );
        }
    }

    /// A worker is gone, and its program with it: what that was answered is nothing to another one, and it sends no weights.
    pub(super) fn forget_program(&mut self, worker: WorkerId) {
        self.programs.answered.remove(&worker);
        self.programs.measured.remove(&worker);
        self.give_up_unwritten_of(worker);
    }

    /// The worker in whose name a program calls; that is no sign of life of the worker.
    fn check_program(&self, caller: Caller) -> Result<WorkerId, Rejection> {
        let Caller { member, incarnation: found } = caller;
        let current = self.registry.incarnation(member);
        let holds = self.registry.process(member).is_some_and(|process| !process.has_left);
        if found == current && holds && member.role == Role::Worker {
            return Ok(member.index);
        }
        Err(Rejection::Stale { member, found, current })
    }

    /// A program has measured the weights, as an evaluator does those of a model that is known here.
    ///
    /// # Errors
    /// Its worker's lease is over, or the job compares what was not measured.
    pub fn measured(
        &mut self,
        report: &MeasuresReport,
        now: Duration,
    ) -> Result<MeasuresAnswer, Rejection> {
        self.handle(
            now,
            |machine| machine.take_measures(report),
            |machine, taken| match taken? {
                Measured::Before(answer) => Ok(answer),
                Measured::Now { is_best, keep } => {
                    let is_ended = !machine.lifecycle.is_training();
                    let answer = MeasuresAnswer { is_best, is_ended, keep };
                    machine.remember_measured(report.caller, report.asking, &answer);
                    Ok(answer)
                }
            },
        )
    }

    fn take_measures(&mut self, report: &MeasuresReport) -> Result<Measured, Rejection> {
        let worker = self.check_program(report.caller)?;
        if let Some(known) = repeated(&self.programs.measured, worker, report.asking) {
            return Ok(Measured::Before(known));
        }
        if !self.lifecycle.is_training() {
            // Of steps that nobody wanted.
            return Ok(Measured::Now { is_best: false, keep: None });
        }
        let pass = report.pass.unwrap_or_else(|| self.programs.last_pass());
        let step = self.steps_of_servers();
        let task = EvaluateTask { pass, step, ..self.evaluation_of(pass) };
        let set =
            if report.is_validation { EvaluationSet::Validation } else { EvaluationSet::Test };
        // Whoever measures anew sends no weights of before.
        self.give_up_unwritten();
        let is_best = match self.compare(&task, (set, &report.scores))? {
            Compared::Settled { is_best } => is_best,
            Compared::Better(kept) => {
                self.await_weights(report, task, &kept);
                return Ok(Measured::Now { is_best: true, keep: Some(kept) });
            }
        };
        let scores = report.scores.clone();
        self.record_evaluation(&task, &EvaluationResult::of(set, scores), is_best);
        Ok(Measured::Now { is_best, keep: None })
    }
}

/// What a program measured.
enum Measured {
    /// It was told before, and this was answered.
    Before(MeasuresAnswer),
    /// It was taken.
    Now { is_best: bool, keep: Option<Kept> },
}
