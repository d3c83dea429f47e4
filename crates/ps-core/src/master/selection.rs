//! What follows from an evaluation: which weights are kept, and whether training ends.
//!
//! The evaluator holds the weights that it measured, so that it writes them itself when they are the
//! best so far, by the rule that is applied here again. The master never lets it write anything else.

use super::Machine;
use super::types::{Action, EvaluateTask, EvaluationResult, Level, MemberId, Rejection, Role};
use crate::data_description::DataKind;
use crate::ids::Life;
use crate::keeping::{Keeping, Kept};
use crate::scores::{EvaluationSet, Scores};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What is known of the weights that are worth keeping.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Selection {
    /// The life in which the job began.
    job: Life,
    keeping: Keeping,
    /// Samples that were done before this life.
    samples_before: u64,
    /// What the evaluator says that it wrote, until it is found.
    expected: Option<Kept>,
    /// Whether the driver was asked to find what is kept, and has not answered.
    is_looking: bool,
    /// Whether it was said what weights are chosen by.
    is_told: bool,
}

impl Selection {
    /// Of a job that begins with this life.
    pub(super) fn new(job: Life) -> Self {
        Self { job, ..Self::default() }
    }

    /// The life in which the job began.
    pub(super) fn job(&self) -> Life {
        self.job
    }

    /// Whether the driver was asked to find what is kept, and has not answered.
    pub(super) fn is_looking(&self) -> bool {
        self.is_looking
    }

    pub(super) fn keeping(&self) -> &Keeping {
        &self.keeping
    }

    /// Goes on with what an earlier life wrote down; `began` is 0 where it did not say.
    pub(super) fn resume(&mut self, keeping: Keeping, began: Life, samples_done: u64) {
        self.job = if began == 0 { self.job } else { began };
        (self.keeping, self.samples_before) = (keeping, samples_done);
    }
}

fn not_written(reason: &str) -> String {
    format!("the best weights so far could not be written: {reason}; those of before are kept")
}

/// What a program measured, beside the best so far.
pub(super) enum Compared {
    /// It is taken.
    Settled {
        /// Whether it is the best so far.
        is_best: bool,
    },
    /// It is better, and its weights are to be written.
    Better(Kept),
}

impl Machine {
    /// Steps of all workers together, in all lives: those of leases that are out count as soon as they
    /// are heard of.
    pub(super) fn steps_done(&self) -> u64 {
        let heard_of = self.selection.samples_before.saturating_add(self.record.samples_trained());
        let samples = self.leases.samples_done().max(heard_of);
        samples / self.config.settings.batch_size.max(1)
    }

    /// Has the weights measured when so many steps are done, where that is what the job wants.
    pub(super) fn take_due_steps(&mut self) {
        let is_program = self.agreement.kind() == Some(DataKind::Program);
        if let Some(every) = self.config.settings.evaluation.every
            && self.lifecycle.is_training()
            && !is_program
        {
            self.evaluations.want_at(self.steps_done(), every, self.leases.pass());
        }
    }

    /// What is known of the weights that an evaluation would measure now.
    pub(super) fn evaluation_of(&self, pass: u64) -> EvaluateTask {
        let keeps_best = self.config.settings.evaluation.keeps_best();
        let best = self.selection.keeping.best().filter(|_| keeps_best).cloned();
        let (step, job) = (self.steps_done(), self.selection.job);
        EvaluateTask { pass, step, job, best, ..EvaluateTask::default() }
    }

    pub(super) fn take_evaluation(
        &mut self,
        member: MemberId,
        result: &EvaluationResult,
        now: Duration,
    ) {
        let Some(task) = self.evaluations.accept(member, result) else {
            return;
        };
        if task.is_final {
            return self.final_evaluation(&task, result, now);
        }
        if let Some(error) = &result.error {
            let pass = task.pass + 1;
            let member = self.registry.describe(member);
            let line = format!("the evaluation after pass {pass} by {member} failed: {error}");
            return self.log(Level::Warn, line);
        }
        let is_best = match self.select(&task, result) {
            Ok(is_best) => is_best,
            Err(reason) => return self.fail(reason, now),
        };
        self.record_evaluation(&task, result, is_best);
    }

    /// Compares an evaluation with the best so far; whether it is better.
    ///
    /// # Errors
    /// There is nothing to choose by.
    fn select(&mut self, task: &EvaluateTask, result: &EvaluationResult) -> Result<bool, String> {
        let settings = self.config.settings.evaluation.clone();
        if !settings.is_selecting() {
            return Ok(false);
        }
        let found = result.chosen_by().filter(|(_, scores)| scores.samples > 0);
        let Some((set, scores)) = found else {
            let options = settings.options().join(" ");
            return Err(format!(
                "{options}: there is neither a validation set nor a test set to choose by; give --validation, \
                 --validation-split or --test"
            ));
        };
        self.tell_set(set);
        let found = task.weights(result.weights_digest).with_scores(&settings, set, scores);
        // Another life may ask for another one.
        let best = self.selection.keeping.best();
        let is_first = best.is_none_or(|best| best.measure != settings.measure());
        let found = match found {
            Err(unknown) if is_first => return Err(unknown.to_string()),
            found => found.ok().flatten(),
        };
        let keeping = &mut self.selection.keeping;
        if settings.keeps_best()
            && !result.is_kept
            && found.as_ref().is_some_and(|found| found.is_better_than(keeping.best()))
        {
            keeping.observe_lost();
            let reason = result.keep_error.as_deref().unwrap_or("the evaluator did not try");
            self.log(Level::Error, not_written(reason));
            return Ok(false);
        }
        let is_best = keeping.observe(found);
        if is_best && settings.keeps_best() {
            self.selection.expected = self.selection.keeping.best().cloned();
            self.find_kept();
        }
        Ok(is_best)
    }

    /// Compares what a program measured with the best so far; whether it is better. Where the best are kept, better ones count
    /// when their weights are written: [`Self::weights_kept`].
    ///
    /// # Errors
    /// It did not measure what the job compares.
    pub(super) fn compare(
        &mut self,
        task: &EvaluateTask,
        (set, scores): (EvaluationSet, &Scores),
    ) -> Result<Compared, Rejection> {
        let settings = &self.config.settings.evaluation;
        if !settings.is_selecting() {
            return Ok(Compared::Settled { is_best: false });
        }
        let measure = settings.measure();
        if scores.get(measure).is_none() {
            let names: Vec<&str> = scores.by_name().map(|(name, _)| name).collect();
            let (options, measure) = (settings.options().join(" "), measure.to_owned());
            return Err(Rejection::OtherMeasure { options, measure, known: names.join(", ") });
        }
        let found = task.weights(0).with_scores(settings, set, scores).ok().flatten();
        let keeps_best = settings.keeps_best();
        self.tell_set(set);
        let keeping = &mut self.selection.keeping;
        match found {
            Some(found) if keeps_best && found.is_better_than(keeping.best()) => {
                Ok(Compared::Better(found))
            }
            found => Ok(Compared::Settled { is_best: keeping.observe(found) }),
        }
    }

    /// What a program's weights were measured with that are written now, or why they are not; whether they are the best.
    pub(super) fn weights_kept(&mut self, written: Result<Kept, String>) -> bool {
        match written {
            Ok(kept) => self.selection.keeping.observe(Some(kept)),
            Err(reason) => {
                self.selection.keeping.observe_lost();
                self.log(Level::Error, not_written(&reason));
                false
            }
        }
    }

    /// Says once what weights are chosen by, if that makes the final measures too good.
    fn tell_set(&mut self, set: EvaluationSet) {
        let is_told = std::mem::replace(&mut self.selection.is_told, true);
        if set == EvaluationSet::Test && !is_told {
            let what = match self.config.settings.evaluation.keeps_best() {
                true => "the weights are chosen",
                false => "when training ends is chosen",
            };
            let advice = match self.agreement.kind() {
                Some(DataKind::Program) => {
                    "report what was measured on other samples (psrun.report(validation=True) in Python)"
                }
                _ => "give --validation or --validation-split",
            };
            let line = format!(
                "{what} by the test set, as there is no validation set: its final measures will be too good; {advice}"
            );
            self.log(Level::Warn, line);
        }
    }

    /// Has the driver look for the weights that this job keeps.
    pub(super) fn find_kept(&mut self) {
        self.selection.is_looking = true;
        self.actions.push(Action::FindKept(self.selection.job));
    }

    /// The driver has looked for the weights that this job keeps.
    pub fn kept_found(&mut self, found: Result<Option<Kept>, String>, now: Duration) {
        self.event(now, |machine| {
            machine.selection.is_looking = false;
            let (found, problem) = match found {
                Ok(found) => (found, None),
                Err(problem) => (None, Some(problem)),
            };
            match machine.selection.expected.take() {
                Some(_) if found.is_some() => (),
                Some(expected) => machine.kept_elsewhere(&expected, problem, now),
                None => machine.take_up_kept(found, problem),
            }
        });
    }

    /// At the first weights that are kept, not after days.
    fn kept_elsewhere(&mut self, expected: &Kept, problem: Option<String>, now: Duration) {
        let problem = problem.map(|problem| format!(" ({problem})")).unwrap_or_default();
        let evaluator = self.registry.describe(MemberId::EVALUATOR);
        let reason = format!(
            "--keep best: {evaluator} wrote the weights of pass {}, and the master does not find \
             them{problem}: start it on the master's machine with --keep-in DIR, the master's --checkpoints, or without \
             these its --out",
            expected.pass
        );
        self.fail(reason, now);
    }

    /// Goes on with the best weights of an earlier life of this job, if they are there.
    fn take_up_kept(&mut self, found: Option<Kept>, problem: Option<String>) {
        let measure = self.config.settings.evaluation.measure().to_owned();
        let known = self.selection.keeping.best().is_some();
        let usable = found.as_ref().filter(|found| found.measure == measure).cloned();
        let problem = problem.or_else(|| {
            let other = found.as_ref().filter(|found| found.measure != measure)?;
            Some(format!("they were chosen by {}, this life chooses by {measure}", other.measure))
        });
        match (&usable, problem) {
            (Some(kept), _) => {
                let line = format!("the best weights so far are there: {}", kept.words());
                self.log(Level::Info, line);
            }
            (None, problem) if known || problem.is_some() => {
                let problem = problem.unwrap_or_else(|| "they are not there".into());
                let line = format!(
                    "the best weights of before cannot be taken up: {problem}; the best of those to come are \
                     kept"
                );
                self.log(Level::Warn, line);
            }
            (None, _) => (),
        }
        self.selection.keeping.take_up(usable);
    }

    /// Why training ends early, if it does.
    pub(super) fn early_stop(&self) -> Option<String> {
        let after = self.config.settings.evaluation.early_stop_after?;
        let keeping = &self.selection.keeping;
        let best = || match keeping.best() {
            Some(best) => format!("the best was {}", best.words()),
            None => "none had a finite measure".to_owned(),
        };
        keeping
            .is_exhausted(Some(after))
            .then(|| format!("no improvement in {after} evaluations in a row: {}", best()))
    }

    /// The weights that are to be written instead of the last ones.
    pub(super) fn chosen(&self) -> Option<Kept> {
        let keeps_best = self.config.settings.evaluation.keeps_best();
        self.selection.keeping.best().filter(|_| keeps_best).cloned()
    }

    /// Why the job cannot do with evaluations what its settings say, as far as is known of its members:
    /// `is_late`: nobody is waited for any more.
    pub(super) fn cannot_select(&self, kind: DataKind, is_late: bool) -> Option<String> {
        let settings = &self.config.settings.evaluation;
        if kind == DataKind::Program {
            let every = settings.option_about_models();
            let why = "the workers run programs, which measure by themselves and say so (psrun.report in Python)";
            return every.map(|every| format!("{every}: {why}; leave it out"));
        }
        if !settings.keeps_best() {
            return None;
        }
        let evaluator = self.registry.live(Role::Evaluator).next();
        match evaluator {
            Some((_, process)) if process.keeps_best => None,
            None if !is_late => None,
            Some((member, _)) => {
                let evaluator = self.registry.describe(member);
                Some(format!(
                    "--keep best: {evaluator} does not write the best weights: start it on the master's machine with \
                     --keep-in DIR, the master's --checkpoints or --out, or leave --keep best out"
                ))
            }
            None => Some(
                "--keep best needs an evaluator on the master's machine, and none came: start `ps-worker --role \
                 evaluator --keep-in DIR`, DIR being the master's --checkpoints or --out, or leave --keep best out"
                    .to_owned(),
            ),
        }
    }
}
