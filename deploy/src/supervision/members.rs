//! Members that end while the master lives: who was told to, who had a reason, and whether anybody is left to train.

use super::{
    AFTER_LOSS, Action, MASTER_SAYS_WHY, NO_WORKER, PROGRAM_FAILED, Supervision, WEIGHTS_LOST,
};
use crate::exit::Exit;
use crate::name::{Name, Role};

/// A worker exits with this and the signal's number where its program was killed, as a shell does.
const KILLED: u8 = 128;

impl Supervision {
    /// The end of a process that is about to be told was asked for by the master.
    pub fn obeyed(&mut self, name: Name) {
        self.obedient.insert(name);
    }

    /// Whether a process of this name has what it needs for its work.
    pub fn has_started(&self, name: Name) -> bool {
        self.ready.contains(&name)
    }

    /// The ranks of workers that ended before they were told to.
    pub fn lost_workers(&self) -> impl Iterator<Item = u32> + '_ {
        self.lost_workers.iter().copied()
    }

    /// Why the job ends with a worker that has ended, if it does: nobody is left to train, or a program failed, which
    /// would fail elsewhere, too. One that was killed has failed at nothing: its samples are others' work.
    pub(super) fn loss_of_workers(&self, name: Name, exit: Exit) -> Option<&'static str> {
        if name.role != Role::Worker || !self.runs(Role::Master) {
            return None;
        }
        match exit {
            Exit::Code(code) if self.rules.has_program && code <= KILLED => Some(PROGRAM_FAILED),
            _ => (!self.trains()).then_some(NO_WORKER),
        }
    }

    /// The master, told of it, saves what was trained and ends by itself.
    pub(super) fn workers_lost(&mut self, name: Name, why: String) -> Vec<Action> {
        // After the first it is told of the others, too, and waits for none of them.
        let is_first = self.unexplained.is_none();
        self.unexplained.get_or_insert_with(|| why.clone());
        let say = is_first.then(|| Action::Say(why.clone()));
        let patience = Action::Deadline(self.rules.after_signal);
        say.into_iter().chain([Action::ReportWorkers(name, why), patience]).collect()
    }

    /// The master lives and does not answer: whoever ended for that is not the cause, and nothing can be saved.
    pub fn master_is_silent(&mut self, who: &str, state: &str) -> Vec<Action> {
        if self.ending {
            return Vec::new();
        }
        // What it was to be told may be a consequence, or not.
        let untold = self.unexplained.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        self.fail(format!("{who} does not answer: {state}; the job is ended{untold}"), AFTER_LOSS)
    }

    /// A server that exits with a code was told to, or has lost something itself: the master knows
    /// why and says so with its own code, soon.
    pub(super) fn failed_beside_master(&mut self, exit: Exit, who: &str) -> Vec<Action> {
        if self.unexplained.is_some() {
            return Vec::new();
        }
        self.unexplained = Some(format!("{who} {exit}: {WEIGHTS_LOST}"));
        vec![Action::Say(format!("{who} {exit}")), Action::Deadline(MASTER_SAYS_WHY)]
    }

    /// A server was killed: the master, told of it, ends the job, or does without it where the model is written.
    pub(super) fn killed_beside_master(
        &mut self,
        name: Name,
        exit: Exit,
        who: &str,
    ) -> Vec<Action> {
        self.unexplained.get_or_insert_with(|| format!("{who} {exit}: {WEIGHTS_LOST}"));
        let mut actions = gone(name, exit, format!("{who} {exit}"));
        actions.push(Action::Deadline(MASTER_SAYS_WHY));
        actions
    }

    /// Whether the job has a worker still, or needs none any more.
    pub(super) fn trains(&self) -> bool {
        self.rules.workers_elsewhere || self.worker_done || self.runs(Role::Worker)
    }
}

/// A member is no more, and the job goes on.
pub(super) fn gone(name: Name, exit: Exit, news: String) -> Vec<Action> {
    vec![Action::Say(news), Action::ReportEnded(name, exit)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervision::Rules;

    #[test]
    fn a_program_that_fails_ends_the_job_and_one_that_is_killed_does_not() {
        for (code, ends) in [(1, true), (128, true), (137, false), (139, false)] {
            let mut job = Supervision::new(Rules { has_program: true, ..Rules::LOCAL });
            let workers = [0, 1].map(|index| Name { role: Role::Worker, index });
            for name in workers.into_iter().chain([Name { role: Role::Master, index: 0 }]) {
                job.started(name);
                job.is_ready(name);
            }
            let actions = job.exited(workers[0], Exit::Code(code), "worker 0");
            let goes_on = actions.contains(&Action::ReportEnded(workers[0], Exit::Code(code)));
            assert_eq!(goes_on, !ends, "{code}: {actions:?}");
            let last = job.exited(workers[1], Exit::Code(code), "worker 1");
            assert!(ends || matches!(last[1], Action::ReportWorkers(..)), "{last:?}");
        }
    }

    /// Found by breakers: a master that was stopped for long ended its job with a worker's name.
    #[test]
    fn regression_a_master_that_does_not_answer_is_the_cause() {
        let mut job = Supervision::new(Rules::LOCAL);
        let worker = Name { role: Role::Worker, index: 0 };
        for name in [worker, Name { role: Role::Master, index: 0 }] {
            job.started(name);
            job.is_ready(name);
        }
        job.exited(worker, Exit::Code(1), "a worker");
        let actions = job.master_is_silent("master (pid 7)", "it is stopped");
        assert!(actions.contains(&Action::Deadline(AFTER_LOSS)), "{actions:?}");
        let why = job.verdict().unwrap_err().to_string();
        assert!(why.starts_with("master (pid 7) does not answer: it is stopped"), "{why}");
    }
}
