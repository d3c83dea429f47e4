//! The loop over the batches of a lease or a pass.

use super::batches::Batches;
use super::error::Error;
use super::trainer::Trainer;
use ps_client::StepOutcome;

/// What the loop asks before a step, and whom it tells of those that were acknowledged.
pub(super) trait StepControl {
    /// How far the job is, from 0 to 1; `None` when no new step is to begin.
    fn progress(&self) -> Option<f64>;

    /// A step was acknowledged.
    ///
    /// # Errors
    /// Training must not go on.
    fn acknowledged(&mut self, step: &StepOutcome) -> Result<(), Error>;
}

/// Trains on the batches. `false`: no more steps were wanted before their end, and some may still be
/// under way.
pub(super) async fn train_batches(
    trainer: &mut Trainer,
    batches: &mut Batches,
    control: &mut impl StepControl,
) -> Result<bool, Error> {
    let mut next = trainer.next_batch(batches).await;
    while let Some(batch) = next? {
        let Some(progress) = control.progress() else { return Ok(false) };
        // What is wrong with the next batch does not cost the step on this one.
        next = trainer.next_batch(batches).await;
        let following = match next {
            Ok(Some(_)) => batches.left().map_or(u64::MAX, |left| left + 1),
            Ok(None) | Err(_) => 0,
        };
        for step in trainer.step(batch, progress, following).await? {
            control.acknowledged(&step)?;
        }
    }
    Ok(true)
}
