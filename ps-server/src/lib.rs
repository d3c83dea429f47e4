//! One shard of the model behind gRPC.
//!
//! - `service`: the calls, translated to the shard (`ps_core::shard`).
//! - `reflection`: tells clients without generated code what the calls are.
//! - [`serve`]: a server with its listener, its master and its end.
//! - `managed`: what it is to its master.
//! - `journal`: what outlives its process.

pub mod config;
mod error;
mod journal;
mod managed;
mod reflection;
pub mod serve;
mod service;
mod shard_file;

pub use error::Error;
pub use journal::{JournalError, ReadFrom, ReadJournal, StoredJournal, WriterSettings};

use ps_cli::fail_points::FailPoints;
use ps_cli::process::{Tasks, Unparsed};
use ps_runtime::Lanes;
use ps_runtime::descriptors::connections_within_limit;
use ps_runtime::files::Directory;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// The whole program `ps-server`, given its command line.
pub fn main_with(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Not generic, so that it is compiled here, and not once more in every program.
    main_of(args.into_iter().collect())
}

fn main_of(args: Vec<OsString>) -> ExitCode {
    let args: config::Args = match ps_cli::process::parse(args) {
        Ok(parsed) => parsed.args,
        Err(code) => return code,
    };
    if let Err(message) = args.check() {
        return Unparsed::Other(message).print();
    }
    let process = args.process.clone();
    ps_cli::process::run(
        "ps-server",
        &process,
        Tasks::ThreadPerCore,
        |outside, shutdown| async move {
            let fail_points = FailPoints::of_process()?;
            // Before anything else: a job must not find out after its first pass.
            let open = |path| Directory::open_for("--checkpoints", path);
            let checkpoints = args.checkpoints.as_deref().map(open).transpose()?;
            let checkpoints = checkpoints.map(|directory| fail_points.watch(Arc::new(directory)));
            let folder = args.durability.folder(args.shard);
            let open = |path: &PathBuf| Directory::open_for("--journal", path);
            let journal = folder.as_ref().map(open).transpose()?;
            // Nobody else writes there: what is left of an earlier process is ending.
            let _lock = match &journal {
                Some(journal) => Some(journal.lock_patiently("--journal").await?),
                None => None,
            };
            let files = serve::ServerFiles {
                checkpoints,
                journal: journal.map(|directory| fail_points.watch(Arc::new(directory))),
            };
            let mut config = config::Config::from(args);
            config.bounds.connections = connections_within_limit(config.bounds.connections);
            let (incoming, address) = ps_runtime::transport::listen(&config.listen).await?;
            let (address, lanes) = (address.to_string(), Lanes::per_core());
            let code =
                serve::run(config, incoming, lanes, address, outside, shutdown, files).await?;
            // What is left of a journal that nobody needs any more; whatever else lies there stays.
            let folders = folder.iter().flat_map(|folder| folder.ancestors().take(2));
            folders.take_while(|folder| std::fs::remove_dir(folder).is_ok()).for_each(drop);
            Ok(code)
        },
    )
}
