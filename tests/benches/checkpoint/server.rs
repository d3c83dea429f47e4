//! A server with a shard of a size, and the master's calls to it.

use anyhow::Context;
use ps_core::correction::Correction;
use ps_core::model_spec::ModelSpec;
use ps_core::partition::chunk_elements;
use ps_core::{Layout, TensorSpec};
use ps_kernels::optimizer::Optimizer;
use ps_proto::v1;
use ps_proto::v1::shard_control_client::ShardControlClient;
use ps_runtime::files::{Directory, Files};
use ps_server::serve::ServerFiles;
use ps_tests::bench::peer::Peer;
use ps_tests::bench::server;
use ps_tests::loopback::JOB;
use std::path::Path;
use std::sync::Arc;
use tonic::Streaming;
use tonic::transport::Channel;

/// Elements of a push: 64 KiB.
pub(crate) const PUSH_ELEMENTS: usize = 16 * 1024;

/// A model whose weights and momentum are so large together, and whose last tensor is one push.
pub(crate) fn model(mib: usize, shards: u32) -> anyhow::Result<ModelSpec> {
    let elements = (mib << 20) / (2 * size_of::<f32>());
    let tensor = |name, elements| TensorSpec::trainable(name, [elements]);
    let tensors = vec![tensor("a", elements - PUSH_ELEMENTS), tensor("b", PUSH_ELEMENTS)];
    Ok(ModelSpec {
        layout: Layout::new(tensors)?,
        optimizer: Optimizer::parse("momentum", None, None)?,
        rules: Vec::new(),
        correction: Correction::Auto,
        bound: None,
        chunk_elements: chunk_elements(elements, 1),
        shards,
    })
}

/// Serves a shard that keeps its checkpoints in this folder, until it is killed.
pub(crate) fn serve(shard: &str, folder: &str) -> anyhow::Result<()> {
    let files: Files = Arc::new(Directory::open(Path::new(folder))?);
    let files = ServerFiles { checkpoints: Some(files), journal: None };
    server::serve(shard.parse()?, "127.0.0.1", files)
}

/// Serves a shard that keeps a journal in this folder, or none, until it is killed.
pub(crate) fn serve_durably(folder: &str) -> anyhow::Result<()> {
    let open = |path: &str| Ok::<Files, anyhow::Error>(Arc::new(Directory::open(Path::new(path))?));
    let journal = Some(folder).filter(|folder| *folder != MEMORY).map(open).transpose()?;
    server::serve(0, "127.0.0.1", ServerFiles { checkpoints: None, journal })
}

/// Instead of a folder: no journal.
pub(crate) const MEMORY: &str = "memory";

/// A server in a process of its own.
pub(crate) struct Server {
    pub(crate) peer: Peer,
    pub(crate) address: String,
}

/// Starts one.
pub(crate) fn start(shard: u32, folder: &Path) -> anyhow::Result<Server> {
    let (shard, folder) = (shard.to_string(), folder.display().to_string());
    let mut peer = Peer::start(&["server", &shard, &folder])?;
    Ok(Server { address: peer.line()?, peer })
}

/// Has a server write its part; what the manifest would list of it.
pub(crate) async fn snapshot(address: &str, number: u64) -> anyhow::Result<v1::CheckpointFile> {
    let mut control = control(address).await?;
    let job = JOB.to_owned();
    let request = v1::PrepareCutRequest { job: job.clone(), number, ..Default::default() };
    let ends = control.prepare_cut(request).await?.into_inner().ends;
    let request = v1::SnapshotRequest { job, number, ends, ..v1::SnapshotRequest::default() };
    let replies = control.snapshot(request).await?.into_inner();
    last(replies).await?.file.context("no file was named")
}

/// Has a server go on from a checkpoint of one file.
pub(crate) async fn restore(
    address: &str,
    model: &ModelSpec,
    shard: u32,
    file: &v1::CheckpointFile,
) -> anyhow::Result<()> {
    let request = v1::RestoreRequest {
        job: JOB.to_owned(),
        shard,
        number: 1,
        model: Some(model.into()),
        files: vec![file.clone()],
        ..v1::RestoreRequest::default()
    };
    for verify_only in [true, false] {
        let request = v1::RestoreRequest { verify_only, ..request.clone() };
        let replies = control(address).await?.restore(request).await?.into_inner();
        anyhow::ensure!(last(replies).await?.done, "it was not restored");
    }
    Ok(())
}

async fn control(address: &str) -> anyhow::Result<ShardControlClient<Channel>> {
    Ok(ShardControlClient::connect(format!("http://{address}")).await?)
}

async fn last<R>(mut replies: Streaming<R>) -> anyhow::Result<R> {
    let mut last = None;
    while let Some(reply) = replies.message().await? {
        last = Some(reply);
    }
    last.context("no answer came")
}
