//! A shard's part of a checkpoint on the wire: what is written under load fits together, goes on in
//! another server, and is refused when it is damaged.

mod any_number;
mod cut;
mod disk;
mod far;

use ps_core::TensorSpec;
use ps_core::checkpoint::names;
use ps_core::model_spec::ModelSpec;
use ps_proto::convert::refusal::{self, Reason};
use ps_proto::{PROTOCOL, v1};
use ps_runtime::files::{FileStore, SimulatedDisk};
use ps_tests::loopback::{JOB, Server, bytes, model, model_of, push};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Status, Streaming};

const CHUNK: usize = 50_000;
const CHUNKS: usize = 3;
const PUSHES: u64 = 40;
const WORKERS: u32 = 2;

async fn server(shard: u32, files: &SimulatedDisk) -> Server {
    Server::start_with(shard, Some(Arc::new(files.clone()))).await.unwrap()
}

async fn snapshot(
    server: &Server,
    shard: u32,
    epoch: u64,
    number: u64,
    keep: &[u64],
) -> Result<v1::CheckpointFile, Status> {
    let prepare = prepare(shard, epoch, number);
    let ends = server.control().prepare_cut(prepare).await?.into_inner().ends;
    order(server, v1::SnapshotRequest { ends, ..wanted(shard, epoch, number, keep) }).await
}

fn prepare(shard: u32, epoch: u64, number: u64) -> v1::PrepareCutRequest {
    v1::PrepareCutRequest { job: JOB.into(), shard, epoch, number, attempt: 1 }
}

/// What is ordered once the cut is prepared.
fn wanted(shard: u32, epoch: u64, number: u64, keep: &[u64]) -> v1::SnapshotRequest {
    let (job, keep, attempt) = (JOB.into(), keep.to_vec(), 1);
    v1::SnapshotRequest { job, shard, epoch, number, keep, attempt, ..Default::default() }
}

async fn order(
    server: &Server,
    request: v1::SnapshotRequest,
) -> Result<v1::CheckpointFile, Status> {
    let replies = server.control().snapshot(request).await?.into_inner();
    Ok(last(replies).await?.file.unwrap())
}

/// Restores at epoch 1.
fn restore(
    number: u64,
    shard: u32,
    model: &ModelSpec,
    files: &[v1::CheckpointFile],
) -> v1::RestoreRequest {
    v1::RestoreRequest {
        job: JOB.into(),
        shard,
        epoch: 1,
        number,
        model: Some(model.into()),
        files: files.to_vec(),
        ..Default::default()
    }
}

async fn send(server: &Server, request: &v1::RestoreRequest) -> Result<(), Status> {
    let replies = server.control().restore(request.clone()).await?.into_inner();
    assert!(last(replies).await?.done);
    Ok(())
}

async fn last<R>(mut replies: Streaming<R>) -> Result<R, Status> {
    let mut last = None;
    while let Some(reply) = replies.message().await? {
        last = Some(reply);
    }
    Ok(last.unwrap())
}

fn large() -> ModelSpec {
    model_of(vec![TensorSpec::trainable("a", [CHUNKS * CHUNK])]).on_grid(Some(CHUNK as u32))
}

/// A push of all chunks, one message each, that takes one off every weight.
fn large_push(worker: u32, seq: u64, epoch: u64) -> Vec<v1::PushMessage> {
    let message = |index: usize| {
        let mut message = push(seq, &[1.0; CHUNK]);
        message.chunks[0].index = index as u32;
        match (index, &mut message.header) {
            (0, Some(header)) => {
                header.id = Some(v1::PushId { worker, incarnation: 5, seq });
                header.oldest_unacknowledged_seq = 0;
                header.chunks_total = CHUNKS as u32;
                header.epoch = epoch;
            }
            (_, header) => *header = None,
        }
        message
    };
    (0..CHUNKS).map(message).collect()
}

/// Whenever a checkpoint was taken while workers pushed: after all pushes are sent again to a fresh
/// server that goes on from it, each of them is in every weight exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_checkpoint_under_load_holds_each_push_whole_or_remembers_its_parts() {
    let files = SimulatedDisk::default();
    let first = Arc::new(server(0, &files).await);
    first.init_model(&large()).await.unwrap();
    let pushing = (0..WORKERS).map(|worker| {
        let server = first.clone();
        tokio::spawn(async move {
            for seq in 0..PUSHES {
                server.push(large_push(worker, seq, 0)).await.unwrap();
            }
        })
    });
    let pushing: Vec<_> = pushing.collect();
    let (mut taken, mut number) = (Vec::new(), 0);
    while pushing.iter().any(|task| !task.is_finished()) || taken.len() < 2 {
        number += 1;
        let kept: Vec<u64> = (0..number).collect();
        taken.push((number, snapshot(&first, 0, 0, number, &kept).await.unwrap()));
        tokio::time::sleep(Duration::from_millis(15)).await;
        assert!(number < 60, "the pushes take for ever");
    }
    for task in pushing {
        task.await.unwrap();
    }
    number += 1;
    taken.push((
        number,
        snapshot(&first, 0, 0, number, &(0..number).collect::<Vec<_>>()).await.unwrap(),
    ));
    let all = -((PUSHES * u64::from(WORKERS)) as f32);
    let mut duplicates = Vec::new();
    for (number, file) in &taken {
        let second = server(0, &files).await;
        send(&second, &restore(*number, 0, &large(), std::slice::from_ref(file))).await.unwrap();
        let mut known = 0;
        for (worker, seq) in (0..WORKERS).flat_map(|w| (0..PUSHES).map(move |seq| (w, seq))) {
            let reply = second.push(large_push(worker, seq, 1)).await.unwrap();
            known += u64::from(reply.duplicate);
        }
        let weights = second.weights().await.unwrap();
        assert!(weights.iter().all(|weight| *weight == all), "checkpoint {number}");
        duplicates.push(known);
    }
    assert!(duplicates.is_sorted(), "{duplicates:?}");
    assert_eq!(*duplicates.last().unwrap(), PUSHES * u64::from(WORKERS), "{duplicates:?}");
    assert!(duplicates[0] < PUSHES * u64::from(WORKERS), "no checkpoint was taken under load");
}

#[tokio::test]
async fn a_repeated_snapshot_gets_the_same_answer_and_old_files_go() {
    let files = SimulatedDisk::default();
    files.write("model.safetensors", b"somebody's").unwrap();
    // Of another shard of today, and of one that there is no server for any more.
    let (other, orphan) = (names::shard_file(1, 1, 2), names::shard_file(1, 2, 3));
    files.write(&other, b"another's").unwrap();
    files.write(&orphan, b"nobody's").unwrap();
    let server = server(0, &files).await;
    let two = model_of(vec![TensorSpec::trainable("a", [128])]).on_grid(Some(64));
    let two = ModelSpec { shards: 2, ..two };
    server.init_model(&two).await.unwrap();
    let mut taken = Vec::new();
    for (number, keep) in [(1, &[][..]), (2, &[1]), (3, &[2])] {
        taken.push(snapshot(&server, 0, 0, number, keep).await.unwrap());
        let push = push(number, &[1.0; 64]);
        server.push(vec![push]).await.unwrap();
        let again = order(&server, wanted(0, 0, number, keep)).await.unwrap();
        assert_eq!(again, taken[number as usize - 1]);
        let late = server.control().prepare_cut(prepare(0, 0, number)).await.unwrap_err();
        assert!(late.message().contains("told already"), "it holds nobody: {late}");
    }
    let expected = [other, names::shard_file(2, 0, 2), names::shard_file(3, 0, 2)];
    let names: Vec<String> = files.list().unwrap();
    assert_eq!(names[..3], expected);
    assert_eq!(names[3..], ["model.safetensors"]);
    let older = order(&server, wanted(0, 0, 2, &[])).await.unwrap_err();
    assert_eq!(older.code(), Code::FailedPrecondition);
    assert!(older.message().contains("has written 3"), "{older}");
    let ends = server.control().prepare_cut(prepare(0, 0, 4)).await.unwrap().into_inner().ends;
    let last = v1::SnapshotRequest { ends, ..wanted(0, 0, 4, &[3]) };
    let (one, two) = tokio::join!(order(&server, last.clone()), order(&server, last));
    assert_eq!(one.unwrap(), two.unwrap());
}

#[tokio::test]
async fn what_cannot_be_saved_is_said_in_words() {
    let without = Server::start(0).await.unwrap();
    without.init().await.unwrap();
    let none = snapshot(&without, 0, 0, 1, &[]).await.unwrap_err();
    assert_eq!(none.code(), Code::FailedPrecondition);
    assert!(none.message().contains("--checkpoints"), "{none}");
    let empty = server(0, &SimulatedDisk::default()).await;
    let nothing = snapshot(&empty, 0, 0, 1, &[]).await.unwrap_err();
    assert_eq!(nothing.code(), Code::FailedPrecondition);
    assert!(nothing.message().contains("no model"), "{nothing}");
    let reason = |status: Status| refusal::from_status(&status).unwrap().reason();
    let other = snapshot(&empty, 1, 0, 1, &[]).await.unwrap_err();
    assert_eq!(reason(other), Reason::OtherShard);
    let none = snapshot(&empty, 0, 7, 1, &[]).await.unwrap_err();
    assert_eq!(none.code(), Code::FailedPrecondition);
    let stale = snapshot(&empty, 0, 6, 1, &[]).await.unwrap_err();
    assert_eq!(reason(stale), Reason::StaleEpoch);
}

#[tokio::test]
async fn what_cannot_be_restored_is_said_in_words() {
    let files = SimulatedDisk::default();
    let first = server(0, &files).await;
    first.init().await.unwrap();
    let file = snapshot(&first, 0, 0, 1, &[]).await.unwrap();
    let request = restore(1, 0, &model(), std::slice::from_ref(&file));
    let held = send(&first, &request).await.unwrap_err();
    assert_eq!(held.code(), Code::FailedPrecondition);
    assert!(held.message().contains("holds a model already"), "{held}");

    let second = server(0, &files).await;
    let whole = files.read(&file.name).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let damages: [(&[u8], &str); 2] = [(&flipped, "CRC-32"), (&whole[..9], "bytes: found 9")];
    for (bytes, part) in damages {
        files.write(&file.name, bytes).unwrap();
        let refused = send(&second, &request).await.unwrap_err();
        assert_eq!(refused.code(), Code::DataLoss);
        let message = refused.message();
        assert!(message.contains(part) && message.contains(&file.name), "{message}");
    }
    files.remove(&file.name).unwrap();
    let missing = send(&second, &request).await.unwrap_err();
    assert_eq!(missing.code(), Code::DataLoss);
    assert!(missing.message().contains(&file.name), "{missing}");
    let outside = v1::CheckpointFile { name: "../passwords".into(), ..file.clone() };
    let outside = send(&second, &restore(1, 0, &model(), &[outside])).await.unwrap_err();
    assert_eq!(outside.code(), Code::InvalidArgument);

    files.write(&file.name, &whole).unwrap();
    send(&second, &request).await.unwrap();
    let other = send(&second, &restore(2, 0, &model(), &[file])).await.unwrap_err();
    assert_eq!(other.code(), Code::FailedPrecondition);
}

/// A worker whose start weights are others' finds the restored shard as it is; one with another
/// model does not.
#[tokio::test]
async fn a_restored_shard_takes_any_start() {
    let files = SimulatedDisk::default();
    let first = server(0, &files).await;
    first.init().await.unwrap();
    first.push(vec![push(0, &[1.0; 5])]).await.unwrap();
    let file = snapshot(&first, 0, 0, 1, &[]).await.unwrap();
    let second = server(0, &files).await;
    send(&second, &restore(1, 0, &model(), &[file])).await.unwrap();
    let init = async |model: &ModelSpec| {
        let header = v1::InitHeader {
            job: JOB.into(),
            protocol: PROTOCOL,
            epoch: 1,
            model: Some(model.into()),
            start_digest: 0xbad,
            ..v1::InitHeader::default()
        };
        let values = bytes(&[9.0; 5]);
        let chunks = vec![v1::ChunkPayload { values, ..Default::default() }];
        second.send_start(header, chunks).await
    };
    assert!(!init(&model()).await.unwrap());
    assert_eq!(second.weights().await.unwrap(), [-1.0; 5]);
    let other = model_of(vec![TensorSpec::trainable("a", [5])]);
    let refused = init(&other).await.unwrap_err();
    assert_eq!(refusal::from_status(&refused).unwrap().reason(), Reason::OtherModel);
}
