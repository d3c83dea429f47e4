//! The command line of `psrun replay`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "Examples:
  psrun local --durability wal --keep-journal --out out/run  # a job that can be replayed from its start
  psrun replay out/run/journal                               # what happened, and which push went wrong
  psrun replay out/run/journal --out replayed.safetensors    # the weights again, bit for bit

DIR is the folder that the job had as --journal (or journal/ in its --out folder), with the folders
shard-0, shard-1, .. of all its servers; of a job on several hosts, bring them together in one. Without
--keep-journal a journal has what happened since its shard was last written whole, and is there as
long as the job is not done; with it, all that happened since the job's start, or since the checkpoint
that it went on from. Nothing in DIR is changed, and no server may be writing there.

Each shard's journal is replayed in its order, with the code that servers come back with, one shard and
one batch of records in memory. Standard output has a line for each shard, `shard=0; base=2; segments=3;
bytes=915200; torn_bytes=0; pushes=1350; chunks=72900; refused=0; torn=0;` and one for all of them,
`replayed_pushes=1350; replayed_chunks=218700; refused_chunks=0; shards=3; torn=0; ended=true;`. torn:
pushes that are in a part of a shard only, counted on each; ended: the job was over, and all that its
journals then had is there.

Two kinds of pushes are looked for, and told in a line each and in words:
  first_nonfinite_worker=1; first_nonfinite_incarnation=..; first_nonfinite_clock=..;
    first_nonfinite_staleness=..; first_nonfinite_loss=..; first_nonfinite_shard=..;
    first_nonfinite_chunk=..; first_nonfinite_tensors=..; first_nonfinite_what=gradient;
      the first push that would have made a weight NaN or infinite. Servers refuse the chunk, so that
      no weight ever is; `what` says whether the gradient itself was not finite, or its result.
  loss_jump_worker=1; .. loss_jump_loss=7.31; loss_jump_median=0.21; loss_jump_limit=1.36;
      the first push whose loss is NaN or infinite, or above a limit: the median of up to 64 losses
      before it, and 10 times their median distance from it, but at least half the median of the first
      8 losses (at least 0.5). Before there are 8, the limit is the median and 9 times as much.
Who computes on weights that went wrong has not made them so: each line has `.._after_worker`, `_clock`,
`_staleness`, `_loss` and `_change`, too, of the push that had changed most, among the newest 64 that were
in the weights that it was computed from (change: the Euclidean distance, over the chunks there).
The journals of different shards have no order among each other: of what stands out on several of
them, that is told which had the fewest pushes before it, and then that of the lowest shard.

Exit codes: 0 replayed, 1 failed (also: a journal is damaged; file and byte are named), 64 bad usage.";

/// Which journals, and where the model goes.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// Folder of a job's journals: with shard-0, shard-1, ..
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Where each journal is read from: the oldest time that its shard was written whole, or the newest, which is faster and
    /// gives the same weights.
    #[arg(long, value_enum, default_value_t, value_name = "BASE")]
    pub from: BaseChoice,
    /// File for the weights, as safetensors [default: they are not written].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Replace the file that is there.
    #[arg(long, requires = "out")]
    pub overwrite: bool,
}

/// Where a journal is read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum BaseChoice {
    /// The oldest time that the shard was written whole.
    #[default]
    Oldest,
    /// The newest.
    Newest,
}
