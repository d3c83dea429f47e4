//! A checkpoint that one server wrote, gone on from by four.

use super::server;
use ps_tests::bench::peer::Peer;
use ps_tests::bench::report::{self, Samples};

const SERVERS: u32 = 4;

/// The most memory of each server, over its share of weights and state.
pub(crate) fn measure(mib: usize) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(".")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let file = {
        let server = server::start(0, folder.path())?;
        let mut worker = Peer::start(&["pushes", &server.address, &mib.to_string()])?;
        anyhow::ensure!(worker.line()? == "ready", "the worker did not start");
        runtime.block_on(server::snapshot(&server.address, 1))?
    };
    let model = server::model(mib, SERVERS)?;
    let partition = model.partition();
    let mut memory = Samples::default();
    for shard in 0..SERVERS {
        let server = server::start(shard, folder.path())?;
        runtime.block_on(server::restore(&server.address, &model, shard, &file))?;
        let share = (partition.range(shard).len() * 2 * size_of::<f32>()) as f64;
        memory.push(server.peer.memory_peak_bytes()? as f64 / share);
    }
    println!("\na checkpoint of {mib} MiB of one server, gone on from by {SERVERS}");
    report::figure("restore_memory_over_share", &memory);
    Ok(())
}
