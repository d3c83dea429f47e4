//! The master: drives [`ps_core::master::Machine`], reads the weights, writes the model and the
//! report. It computes nothing and knows no model code.
//!
//! - `config`: options.
//! - `serve`: a master with its listener, from its start to its end.
//! - `service`: the calls, passed on to the driver.
//! - `driver`: the one task that owns the machine, and does what it asks for.
//! - `shards`: tells every shard who the workers are.
//! - `weights`: reads the model from the shards.
//! - `reporter`: shows people how far the job is.

pub mod config;
mod driver;
mod reporter;
pub mod serve;
mod service;
mod shards;
mod weights;

pub use config::Config;
pub use serve::{Error, REPORT_FILE, run};

use ps_runtime::files::Directory;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

/// The whole program `ps-master`, given its command line.
pub fn main_with(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: config::Args = match ps_runtime::process::parse(args) {
        Ok(args) => args,
        Err(code) => return code,
    };
    let (process, listen, out) = (args.process.clone(), args.listen.clone(), args.out.clone());
    let config = match Config::try_from(args) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(ps_runtime::process::EXIT_USAGE);
        }
    };
    ps_runtime::process::run("ps-master", &process, |outside, shutdown| async move {
        // Before anything else: a long job must not find out at its end.
        let files = Arc::new(Directory::open(&out)?);
        let (incoming, address) = ps_runtime::transport::listen(&listen).await?;
        Ok(run(config, incoming, address.to_string(), outside, shutdown, files).await?)
    })
}
