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
            let number = asked?;
            Ok((number, machine.checkpoints.progress(number)))
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
    fn progress(&self, number: u64) -> CheckpointProgress {
        let is_next = self.since.is_wanted() && number == self.next_number;
        match &self.failed {
            _ if self.complete.iter().any(|complete| complete.number >= number) => {
                CheckpointProgress::Written
            }
            _ if is_next || self.writing.is_some_and(|it| it.number == number) => {
                CheckpointProgress::Writing
            }
            Some((failed, reason)) if *failed == number => {
                CheckpointProgress::Failed(reason.clone())
            }
            _ => CheckpointProgress::Failed("nobody writes it: the job is ending".to_owned()),
        }
    }
}
