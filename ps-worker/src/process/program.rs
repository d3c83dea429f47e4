//! A worker whose work a program of the user's does.

use super::{with_master, workload};
use crate::config::Args;
use crate::train;
use ps_cli::orphans::{Children, Orphans};
use ps_client::Counters;
use ps_runtime::{Outside, Shutdown};
use std::sync::Arc;

/// Works for the master until it says leave; whatever the program started ends with us.
pub(super) async fn run(
    args: &Args,
    master: String,
    counters: Arc<Counters>,
    outside: Outside,
    shutdown: Shutdown,
) -> anyhow::Result<u8> {
    let descendants = Descendants(Children::default());
    // What has left the program's group is below us still, and ends with us.
    let adopting = tokio::spawn(descendants.0.clone().adopt_orphans(Orphans::Keep));
    let workload = workload::program(args, descendants.0.clone());
    let ended = train::run(with_master(args, master), workload, counters, outside, shutdown).await;
    adopting.abort();
    Ok(ended?)
}

/// Everything that runs below this process, until this is dropped: also when what drives it is.
struct Descendants(Children);

impl Drop for Descendants {
    fn drop(&mut self) {
        self.0.end_descendants_blocking();
    }
}
