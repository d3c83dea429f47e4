//! `psrun checkpoint now`: asks the master of a job that trains.

use super::NowArgs;
use anyhow::{Context, bail};
use ps_core::master::CheckpointProgress;
use ps_runtime::member::checkpoint_now;
use ps_runtime::{Outside, Shutdown};
use std::time::Duration;

/// How often it is asked whether the checkpoint is complete.
const POLL: Duration = Duration::from_millis(100);

/// Has a checkpoint written, and waits until it is; what to exit with.
///
/// # Errors
/// The master does not answer or refuses, or the checkpoint could not be written.
pub(crate) async fn run(
    args: NowArgs,
    outside: Outside,
    mut shutdown: Shutdown,
) -> anyhow::Result<u8> {
    tokio::select! {
        biased;
        signal = shutdown.wait() => Ok(signal.exit_code()),
        written = write(&args, &outside) => {
            (outside.metrics)(&format!("checkpoint={}; written=true;", written?));
            Ok(0)
        }
    }
}

async fn write(args: &NowArgs, outside: &Outside) -> anyhow::Result<u64> {
    let mut asked = None;
    loop {
        let answer = checkpoint_now(outside, &args.master, &args.process.job_id, asked).await;
        let (number, progress) = answer.context("asking for a checkpoint")?;
        match progress {
            CheckpointProgress::Written => return Ok(number),
            CheckpointProgress::Writing => asked = Some(number),
            CheckpointProgress::Failed(reason) => {
                bail!("checkpoint {number} could not be written: {reason}")
            }
        }
        tokio::time::sleep(POLL).await;
    }
}
