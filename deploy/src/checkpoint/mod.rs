//! `psrun checkpoint`: the checkpoints of a folder, without a job.
//!
//! - `args`: the command line.
//! - `folder`: what is there, read by the code that servers and masters read it with.
//! - `ls`, `verify`, `export`, `prune`: the commands; `now` asks a job for one.

mod args;
mod export;
mod folder;
mod ls;
pub(crate) mod now;
mod prune;
#[cfg(test)]
mod tests;
mod verify;

pub(crate) use args::EXAMPLES;
pub use args::{
    CheckpointArgs, CheckpointCommand, ExportArgs, FolderCommand, LsArgs, NowArgs, PruneArgs,
    VerifyArgs,
};

use folder::Folder;
use ps_runtime::files::Directory;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

/// Where a command says what it found.
pub(crate) struct Said<'s> {
    /// Lines for machines.
    pub(crate) out: &'s mut dyn Write,
    /// Lines for people.
    pub(crate) tell: &'s mut dyn FnMut(&str),
}

/// Does what the command line asks for.
///
/// # Errors
/// It cannot be done, or a checkpoint is damaged; the message says what to do.
pub(crate) fn run(command: &FolderCommand, said: &mut Said<'_>) -> anyhow::Result<()> {
    match command {
        FolderCommand::Ls(args) => {
            let files = Directory::existing(&args.folder)?;
            ls::run(&Folder::open(&files)?, |name| written(&args.folder, name), said)
        }
        FolderCommand::Verify(args) => {
            let files = Directory::existing(&args.folder)?;
            verify::run(&Folder::open(&files)?, args.number, said)
        }
        FolderCommand::Export(args) => {
            let files = Directory::existing(&args.folder)?;
            export::run(&Folder::open(&files)?, args, said)
        }
        FolderCommand::Prune(args) => prune::run(args, said),
    }
}

/// When a file was written, as the file system says.
fn written(folder: &Path, name: &str) -> Option<SystemTime> {
    std::fs::metadata(folder.join(name)).and_then(|it| it.modified()).ok()
}
