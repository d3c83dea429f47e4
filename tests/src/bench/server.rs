//! A server without a master, as its program makes it.

use crate::loopback;
use ps_core::ids::ShardId;
use ps_runtime::{Connector, Lanes, Outside, Shutdown, SystemClock, transport};
use ps_server::config::{Bounds, Config};
use ps_server::serve::ServerFiles;
use std::sync::Arc;
use std::time::Duration;

/// What a process gets from outside.
pub fn outside(connector: Connector) -> Outside {
    Outside { connector, clock: SystemClock::start(), seed: 1, metrics: Arc::new(|_| ()) }
}

/// Serves one shard on a free port of this address, printed, until it is killed.
///
/// # Errors
/// It cannot listen, or a connection's thread failed.
pub fn serve(shard: ShardId, listen: &str, files: ServerFiles) -> anyhow::Result<()> {
    // As `ps_cli::process::run` makes it.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (incoming, address) = transport::listen(&format!("{listen}:0")).await?;
        let address = address.to_string();
        println!("{address}");
        let lease = Duration::from_secs(3600);
        let config = Config { lease, ..loopback::config(shard, Bounds::default()) };
        let (_trigger, shutdown) = Shutdown::new();
        let (lanes, outside) = (Lanes::per_core(), outside(Connector::tcp()));
        ps_server::serve::run(config, incoming, lanes, address, outside, shutdown, files).await?;
        Ok(())
    })
}
