//! The command line of `psrun checkpoint`.

use clap::{Args, Subcommand};
use ps_cli::process::ProcessArgs;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "Examples:
  psrun checkpoint ls out/digits                             # what is there, the newest last
  psrun checkpoint verify out/digits                         # is every byte as it was written?
  psrun checkpoint export out/digits --out out/model         # the newest as a model
  psrun checkpoint prune out/digits --keep 2                 # room, and what was never finished
  psrun checkpoint now --master 127.0.0.1:2222               # of a job that trains, at once

DIR is the folder that a job has as --checkpoints. `psrun checkpoint COMMAND --help` says more of
each. Only prune changes it, and now has the job do so.

Exit codes: 0 done, 1 failed (also: a checkpoint is damaged), 64 bad usage.";

const LS_EXAMPLES: &str = "Examples:
  psrun checkpoint ls out/digits
  psrun checkpoint ls out/digits | tail -1                   # the newest

A line for each checkpoint goes to standard output, the newest last: `checkpoint=12;
complete=true; passes=3; samples_done=4302; shards=3; chunks=160; elements=159010; bytes=1916232;
torn=0; written=2026-01-31T12:00:00Z; ..`. `complete`: its manifest and the ends of all its
shards' files are there and whole; `verify` reads what lies between. `torn`: pushes that are in a
part of a shard only and that nobody sends again, counted on each shard. `written`: when its
manifest was; a job that goes on from a checkpoint writes the manifest anew. Files that belong to
no finished checkpoint are told on standard error, as unfinished.";

const VERIFY_EXAMPLES: &str = "Examples:
  psrun checkpoint verify out/digits
  psrun checkpoint verify out/digits --number 12

Reads every byte of every file, a chunk at a time, and checks all checksums and lengths, that
each chunk of the model is there exactly once, and that all values are finite. A line for each
checkpoint goes to standard output, the newest last: `checkpoint=12; ok=true; files=3;
chunks=160; bytes=1920311;`. What is wrong goes to standard error, file by file, and the exit
code is 1 then. A job may be running.";

const EXPORT_EXAMPLES: &str = "Examples:
  psrun checkpoint export out/digits --out out/model         # the newest
  psrun checkpoint export out/digits --number 12 --out out/model
  psrun evaluate --model out/model --data DIR                # also predict and serve
  psrun local --initial-model out/model                      # another job that starts from it

Writes model.safetensors, bit for bit what a job writes that ends with these weights, and
config.json and, of a table, schema.json. Every byte is checked before the model appears.
Checkpoints of a psrun that did not write down which model it was have weights alone: standard
error says what is missing, and `described` on standard output is false. The weights are those of
the checkpoint, not the best ones that a job with --keep best has kept. A job may be running.";

const PRUNE_EXAMPLES: &str = "Examples:
  psrun checkpoint prune out/digits --keep 2
  psrun checkpoint prune out/digits --keep 1 && psrun checkpoint ls out/digits

Keeps the newest K checkpoints of which every byte is as it was written (it is read), and, if the
run had gone wrong in all of these, the newest from before, as jobs do. All else that is a
checkpoint's is removed, manifests first: older ones, damaged ones, files that were never
finished. Files of others stay, and checkpoints of another version of psrun. Without any whole
checkpoint nothing is removed. A line for each number goes to standard output: `checkpoint=11;
removed_files=4; removed_bytes=1920311;`. It is refused while a job has the folder, which may
keep and remove checkpoints by itself.";

const NOW_EXAMPLES: &str = "Examples:
  psrun checkpoint now --master 127.0.0.1:34567 --job-id digits-1
  psrun checkpoint now --master host1:2222

The job has to keep checkpoints (--checkpoints DIR). Training goes on meanwhile: every push is in
the checkpoint on all shards or on none. A job on this machine says at its start which address its
master has. Standard output gets `checkpoint=12; written=true;`.";

/// What to do with the checkpoints of a folder.
#[derive(Args, Clone, Debug)]
#[command(disable_help_subcommand = true)]
pub struct CheckpointArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: CheckpointCommand,
}

/// What can be done with checkpoints.
#[derive(Subcommand, Clone, Debug)]
pub enum CheckpointCommand {
    /// Those of a folder.
    #[command(flatten)]
    Folder(FolderCommand),
    /// Have a job that trains write a checkpoint now, and wait until it is complete.
    #[command(after_help = NOW_EXAMPLES)]
    Now(NowArgs),
}

/// What can be done with the checkpoints of a folder.
#[derive(Subcommand, Clone, Debug)]
pub enum FolderCommand {
    /// Show which checkpoints there are.
    #[command(after_help = LS_EXAMPLES)]
    Ls(LsArgs),
    /// Read checkpoints to the last byte, and say whether they are whole.
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Write a checkpoint's weights as a model.
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(ExportArgs),
    /// Remove all but the newest whole checkpoints, and what was never finished.
    #[command(after_help = PRUNE_EXAMPLES)]
    Prune(PruneArgs),
}

/// Which folder.
#[derive(Args, Clone, Debug)]
pub struct LsArgs {
    /// Folder of checkpoints.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// Which checkpoints.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// Folder of checkpoints.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The checkpoint [default: all].
    #[arg(long, value_name = "N")]
    pub number: Option<u64>,
}

/// Which checkpoint, and where the model goes.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// Folder of checkpoints.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The checkpoint [default: the newest].
    #[arg(long, value_name = "N")]
    pub number: Option<u64>,
    /// Folder for the model; made if need be.
    #[arg(long, value_name = "MODELDIR")]
    pub out: PathBuf,
    /// Replace the model that is there.
    #[arg(long)]
    pub overwrite: bool,
}

/// Which folder, and how many stay.
#[derive(Args, Clone, Debug)]
pub struct PruneArgs {
    /// Folder of checkpoints.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// How many of the newest whole checkpoints stay.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: u32,
}

/// Which job.
#[derive(Args, Clone, Debug)]
pub struct NowArgs {
    /// The job's master.
    #[arg(long, env = "PS_MASTER", value_name = "HOST:PORT")]
    pub master: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub process: ProcessArgs,
}
