//! Any number of servers goes on from what any number has written.

use super::{restore, send, server, snapshot};
use ps_core::TensorSpec;
use ps_core::model_spec::ModelSpec;
use ps_proto::{PROTOCOL, v1};
use ps_runtime::files::{FileStore, SimulatedDisk};
use ps_tests::loopback::{JOB, Server, bytes, model_of, push};

/// One server writes, three go on and write, two go on: every weight stays what it was, and a file
/// that was verified is not read again.
#[tokio::test]
async fn any_number_of_servers_goes_on() {
    let files = SimulatedDisk::default();
    let first = server(0, &files).await;
    let tensors = vec![TensorSpec::trainable("a", [200]), TensorSpec::trainable("b", [56])];
    let model = model_of(tensors).on_grid(Some(64));
    first.init_model(&model).await.unwrap();
    let gradient: Vec<f32> = (0..256).map(|i| i as f32).collect();
    let mut all = push(0, &[]);
    all.header.as_mut().unwrap().chunks_total = 4;
    let chunk = |(index, values)| v1::ChunkPayload {
        index,
        values: bytes(values),
        ..v1::ChunkPayload::default()
    };
    all.chunks = (0..).zip(gradient.chunks(64)).map(chunk).collect();
    first.push(vec![all]).await.unwrap();
    let weights = first.weights().await.unwrap();
    let mut written = vec![snapshot(&first, 0, 0, 1, &[]).await.unwrap()];
    for (number, count) in [(1, 3), (2, 2)] {
        let model = ModelSpec { shards: count, ..model.clone() };
        let (mut together, mut next) = (Vec::new(), Vec::new());
        let mut servers = Vec::new();
        for shard in 0..count {
            let server = server(shard, &files).await;
            let request = restore(number, shard, &model, &written);
            let verify = v1::RestoreRequest { verify_only: true, ..request.clone() };
            send(&server, &verify).await.unwrap();
            let describe = v1::DescribeRequest { job: JOB.into(), protocol: PROTOCOL };
            let described = server.data().describe(describe).await.unwrap();
            assert_eq!(described.into_inner().model, None, "only verified");
            servers.push((server, request));
        }
        for file in &written {
            files.remove(&file.name).unwrap();
        }
        for (shard, (server, request)) in (0..).zip(&servers) {
            send(server, request).await.unwrap();
            send(server, request).await.unwrap();
            let request = v1::PullRequest { shard, ..pull() };
            together.extend(pulled(server, request).await);
            next.push(snapshot(server, shard, 1, number + 1, &[]).await.unwrap());
        }
        assert_eq!(together, weights, "{count} servers");
        written = next;
    }
    assert_eq!(files.list().unwrap().len(), 2);
}

fn pull() -> v1::PullRequest {
    v1::PullRequest {
        job: JOB.into(),
        protocol: PROTOCOL,
        encoding: v1::Encoding::F32.into(),
        ..Default::default()
    }
}

async fn pulled(server: &Server, request: v1::PullRequest) -> Vec<f32> {
    let mut messages = server.data().pull(request).await.unwrap().into_inner();
    let mut weights = Vec::new();
    while let Some(message) = messages.message().await.unwrap() {
        let values = message.chunks.iter().flat_map(|chunk| chunk.values.chunks_exact(4));
        weights.extend(values.map(|b| f32::from_le_bytes(b.try_into().unwrap())));
    }
    weights
}
