//! The master: drives [`ps_core::master::Machine`], reads the weights, writes the model and the
//! report. It computes nothing and knows no model code.
//!
//! - `checkpoints`: has every shard write a checkpoint or restore one, and keeps the manifests.
//! - `config`: options.
//! - `serve`: a master with its listener, from its start to its end.
//! - `service`: the calls, passed on to the driver.
//! - `driver`: the one task that owns the machine, and does what it asks for.
//! - `error`: why a master fails.
//! - `files`: where it keeps its files.
//! - `cluster`: the servers, as calls to them need them.
//! - `weights`: reads the model from the shards.
//! - `kept`: the best weights, which the evaluator has written.
//! - `upload`: the same of a program, which sends them.
//! - `state`: what outlives the process, where that is wanted.
//! - `reporter`: shows people how far the job is.

pub mod checkpoint_args;
mod checkpoints;
mod cluster;
pub mod config;
mod driver;
mod error;
mod files;
mod kept;
mod reporter;
pub mod serve;
mod service;
mod state;
mod upload;
mod weights;

pub use config::Config;
pub use driver::REPORT_FILE;
pub use error::Error;
pub use files::MasterFiles;
pub use serve::run;
pub use state::{BEFORE_END_FILE, STATE_FILE};

use ps_cli::fail_points::FailPoints;
use ps_cli::process::{Tasks, Unparsed};
use ps_runtime::files::Directory;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// The whole program `ps-master`, given its command line.
pub fn main_with(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Not generic, so that it is compiled here, and not once more in every program.
    main_of(args.into_iter().collect())
}

fn main_of(args: Vec<OsString>) -> ExitCode {
    let args: config::Args = match ps_cli::process::parse(args) {
        Ok(parsed) => parsed.args,
        Err(code) => return code,
    };
    let (process, listen, out) = (args.process.clone(), args.listen.clone(), args.out.clone());
    let (checkpoints, folder) = (args.checkpoints.clone(), args.state.clone());
    let config = match Config::try_from(args) {
        Ok(config) => config,
        Err(error) => return Unparsed::Other(error).print(),
    };
    ps_cli::process::run(
        "ps-master",
        &process,
        Tasks::OneThreadAtATime,
        |outside, shutdown| async move {
            let fail_points = FailPoints::of_process()?;
            // Before anything else: a long job must not find out at its end. One that goes on may have filled its disk.
            let goes_on = folder.as_deref().is_some_and(state::is_in);
            let open = |option: &'static str| {
                move |folder: &PathBuf| match goes_on {
                    true => Directory::open_again(option, folder),
                    false => Directory::open_for(option, folder),
                }
            };
            let files = open("--out")(&out)?;
            let kept = checkpoints.as_ref().map(open("--checkpoints")).transpose()?;
            let state = folder.as_ref().map(open("--state")).transpose()?;
            let locking = async {
                let mut locks = vec![files.lock_patiently("--out").await?];
                if let (Some(folder), Some(kept)) = (&checkpoints, &kept)
                    && folder.canonicalize()? != out.canonicalize()?
                {
                    locks.push(kept.lock_patiently("--checkpoints").await?);
                }
                if let Some(state) = &state {
                    locks.push(state.lock_patiently("--state").await?);
                }
                io::Result::Ok(locks)
            };
            let mut stop = shutdown.clone();
            let locks = tokio::select! {
                biased;
                locks = locking => locks?,
                // There is nothing to save.
                signal = stop.wait() => return Ok(signal.exit_code()),
            };
            let checkpoints = kept.map(|folder| fail_points.watch(Arc::new(folder)));
            let (incoming, address) = ps_runtime::transport::listen(&listen).await?;
            let address = address.to_string();
            let state = state.map(|folder| fail_points.watch(Arc::new(folder)));
            let results = fail_points.watch(Arc::new(files));
            let files = MasterFiles { results, checkpoints, state };
            let ended = run(config, incoming, address, outside, shutdown, files).await;
            drop(locks);
            // What is left of a state that nobody needs any more; whatever else lies there stays.
            let folders = folder.iter().flat_map(|folder| folder.ancestors().take(2));
            folders.take_while(|folder| std::fs::remove_dir(folder).is_ok()).for_each(drop);
            Ok(ended?)
        },
    )
}
