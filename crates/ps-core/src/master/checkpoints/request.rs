//! Checkpoints that somebody asks for.

use super::super::types::{CheckpointProgress, Rejection};
use super::super::{Machine, lifecycle::Phase};
use std::time::Duration;

impl Machine {
    /// Has a checkpoint written now, or once the one that is being written is; with a number, says how far that one is.
    ///
    /// # Errors
    /// The job keeps none, has trained nothing yet, or ends, when it writes one anyway.
    pub fn checkpoint_now(
        &mut self,
        number: Option<u64>,
        now: Duration,
    ) -> Result<(u64, CheckpointProgress), Rejection> {
        let answer = |machine: &mut Self, asked: Result<u64, Rejection>| {
            let is_training = machine.lifecycle.phase() == Phase::Running;
            Ok(machine.checkpoints.progress(asked?, is_training))
        };
        self.handle(now, |machine| machine.want_checkpoint(number), answer)
    }

    fn want_checkpoint(&mut self, number: Option<u64>) -> Result<u64, Rejection> {
        if !self.config.checkpoints {
            return Err(Rejection::NoCheckpoints);
        }
        if let Some(number) = number {
            return Ok(number);
        }
        match self.lifecycle.phase() {
            Phase::Running if self.checkpoints.has_trained => {
                self.checkpoints.since.want();
                Ok(self.checkpoints.next_number)
            }
            Phase::Starting | Phase::Running => Err(Rejection::NothingTrained),
            _ => Err(Rejection::Ending),
        }
    }
}

impl super::Checkpoints {
    /// How far this one is; if a later one is complete, that one.
    fn progress(&self, number: u64, is_training: bool) -> (u64, CheckpointProgress) {
        let is_next = is_training && self.since.is_wanted() && number == self.next_number;
        let written = self.complete.iter().map(|it| it.number).filter(|it| *it >= number).min();
        if let Some(written) = written {
            return (written, CheckpointProgress::Written);
        }
        if is_next || self.writing.is_some_and(|it| it.number == number) {
            return (number, CheckpointProgress::Writing);
        }
        let reason = match self.failed.get(&number) {
            Some(reason) => reason.clone(),
            None if number < self.next_number => "it is older than those that are kept".to_owned(),
            None => "the job ended before it".to_owned(),
        };
        (number, CheckpointProgress::Failed(reason))
    }
}
