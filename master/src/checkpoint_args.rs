//! When checkpoints are written.

use ps_core::master::CheckpointEvery;
use std::time::Duration;

/// When checkpoints are written while a job trains, beside the one after a signal or at its end; whichever comes first.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Checkpoints while a job trains")]
pub struct CheckpointEveryArgs {
    /// Passes after which a checkpoint is written; 0: passes do not matter.
    #[arg(long, env = "PS_CHECKPOINT_EVERY_PASSES", default_value_t = 1, value_name = "P")]
    pub checkpoint_every_passes: u64,
    /// Steps of all workers together after which one is written; those of a program of one's own are not counted here
    /// [default: steps do not matter].
    #[arg(long, env = "PS_CHECKPOINT_EVERY_STEPS", value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub checkpoint_every_steps: Option<u64>,
    /// Seconds after which one is written, if anything was trained [default: time does not matter].
    #[arg(long, env = "PS_CHECKPOINT_EVERY_S", value_name = "S",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub checkpoint_every_s: Option<u64>,
}

impl CheckpointEveryArgs {
    /// How often.
    pub fn every(&self) -> CheckpointEvery {
        CheckpointEvery {
            passes: self.checkpoint_every_passes,
            steps: self.checkpoint_every_steps,
            time: self.checkpoint_every_s.map(Duration::from_secs),
        }
    }

    /// What contradicts itself, in one sentence.
    ///
    /// # Errors
    /// It is said how often, of checkpoints that there are not.
    pub fn check(&self, has_checkpoints: bool) -> Result<(), String> {
        let every = self.every();
        if has_checkpoints || every == CheckpointEvery::default() {
            return Ok(());
        }
        let option = match every {
            CheckpointEvery { steps: Some(_), .. } => "--checkpoint-every-steps",
            CheckpointEvery { time: Some(_), .. } => "--checkpoint-every-s",
            _ => "--checkpoint-every-passes",
        };
        Err(format!("{option}: there are no checkpoints without --checkpoints DIR"))
    }
}
