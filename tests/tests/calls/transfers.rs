//! How pushes and pulls share connections, calls and memory; over a real server on loopback, with
//! the client that any protobuf compiler makes.

use futures_util::StreamExt;
use ps_client::{Gradient, Weights};
use ps_core::coverage::Coverage;
use ps_core::limits::{CHUNK_ELEMENTS_MAX, CONNECTION_WINDOW_BYTES};
use ps_core::model_spec::ModelSpec;
use ps_core::settings::Wire;
use ps_core::{TensorKind, TensorSpec};
use ps_kernels::encoding::Encoding;
use ps_proto::v1::push_pull_message::Kind;
use ps_proto::v1::refused_chunk::Reason as Refused;
use ps_proto::{PROTOCOL, v1};
use ps_server::config::Bounds;
use ps_tests::loopback::{JOB, Server, bytes, model_of, push};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tonic::{Code, Streaming};

/// More than windows and buffers of one connection hold.
const LARGE: usize = 8 * CONNECTION_WINDOW_BYTES as usize / size_of::<f32>();

async fn server(bounds: Bounds, elements: usize) -> (Server, ModelSpec) {
    let server = Server::start_bounded(0, bounds).await.unwrap();
    let model = model_of(vec![TensorSpec::trainable("a", [elements])]);
    let values = vec![0.0; elements];
    let header = v1::InitHeader {
        job: JOB.into(),
        protocol: PROTOCOL,
        model: Some((&model).into()),
        start_digest: crc32fast::hash(&bytes(&values)),
        ..v1::InitHeader::default()
    };
    let chunk = |(index, range): (u32, std::ops::Range<usize>)| v1::ChunkPayload {
        index,
        values: bytes(&values[range]),
        ..Default::default()
    };
    let chunks = (0..).zip(model.partition().chunks(0)).map(chunk);
    server.send_start(header, chunks.collect()).await.unwrap();
    (server, model)
}

/// A push of ones, a chunk in each message.
fn large_push(model: &ModelSpec, seq: u64) -> Vec<v1::PushMessage> {
    let chunks = model.partition().chunks(0);
    let mut header = push(seq, &[]).header;
    header.as_mut().unwrap().chunks_total = chunks.len() as u32;
    let message = |(index, range): (u32, std::ops::Range<usize>)| {
        let values = bytes(&vec![1.0; range.len()]);
        let chunks = vec![v1::ChunkPayload { index, values, ..Default::default() }];
        v1::PushMessage { header: header.take(), chunks }
    };
    (0..).zip(chunks).map(message).collect()
}

fn pull() -> v1::PullRequest {
    let encoding = v1::Encoding::F32.into();
    v1::PullRequest { job: JOB.into(), protocol: PROTOCOL, encoding, ..Default::default() }
}

#[tokio::test]
async fn weights_come_while_the_push_is_still_being_sent() {
    let (server, model) = server(Bounds::default(), 4 * CHUNK_ELEMENTS_MAX).await;
    let messages = large_push(&model, 0);
    let (sender, sent) = tokio::sync::mpsc::unbounded_channel();
    sender.send(messages[0].clone()).unwrap();
    let sent = tokio_stream::wrappers::UnboundedReceiverStream::new(sent);
    let mut replies = server.data().push_pull(sent).await.unwrap().into_inner();
    let (mut versions, mut acknowledged) = (vec![None; messages.len()], false);
    let mut rest = Some((sender, messages[1..].to_vec()));
    while let Some(reply) = replies.message().await.unwrap() {
        let part = match reply.kind.unwrap() {
            Kind::Push(_) => {
                acknowledged = true;
                continue;
            }
            Kind::Pull(part) => part,
        };
        for chunk in part.chunks {
            assert_eq!(chunk.values[..4], (-1.0_f32).to_le_bytes());
            let before = versions[chunk.index as usize].replace(chunk.version);
            assert_eq!(before, None, "chunk {} came twice", chunk.index);
            // The rest of the push is sent only now that weights have come.
            if let Some((sender, rest)) = rest.take() {
                assert!(!acknowledged);
                rest.into_iter().for_each(|message| sender.send(message).unwrap());
            }
        }
    }
    assert!(acknowledged && versions.iter().all(|version| *version == Some(1)));
}

#[tokio::test]
async fn a_caller_that_sends_all_before_it_reads_any_is_not_held_up() {
    let (server, model) = server(Bounds::default(), LARGE).await;
    let (sent, mut all_sent) = tokio::sync::oneshot::channel();
    let mut sent = Some(sent);
    let messages = tokio_stream::iter(large_push(&model, 0)).chain(
        futures_util::stream::once(async move {
            let _ = sent.take().map(|sent| sent.send(()));
        })
        .filter_map(|()| std::future::ready(None)),
    );
    let mut replies = server.data().push_pull(messages).await.unwrap().into_inner();
    // Nothing is read before everything was taken.
    tokio::time::timeout(Duration::from_secs(60), &mut all_sent).await.unwrap().unwrap();
    let mut elements = 0;
    while let Some(reply) = replies.message().await.unwrap() {
        if let Some(Kind::Pull(part)) = reply.kind {
            elements += part.chunks.iter().map(|chunk| chunk.values.len() / 4).sum::<usize>();
        }
    }
    assert_eq!(elements, LARGE);
}

/// The worker's client puts them on one call, whose answers stand for several.
#[tokio::test]
async fn small_pushes_of_one_worker_each_get_their_own_report() {
    let server = Server::start(0).await.unwrap();
    let (client, model) =
        (server.client(1, Wire::default()), model_of(vec![TensorSpec::trainable("a", [5])]));
    client.init(&model, &[0.0; 5]).await.unwrap();
    let layout = Arc::new(model.layout.clone());
    let gradient = |value| Gradient::new(layout.clone(), vec![value; 5], vec![true], 0.0);
    let values = (0..300).map(|index| if index % 7 == 3 { f32::NAN } else { 1.0 });
    let gradients: Vec<_> = values.map(gradient).collect();
    let mut weights = Weights::new(&model);
    let pushes = gradients.iter().map(|gradient| client.push(gradient, 1.0, &weights));
    let reports = futures_util::future::try_join_all(pushes).await.unwrap();
    for (index, report) in reports.iter().enumerate() {
        assert_eq!(report.chunks_refused, u64::from(index % 7 == 3), "push {index}");
    }
    client.read(&mut weights).await.unwrap();
    let applied = reports.iter().filter(|report| report.chunks_refused == 0).count();
    assert_eq!(weights.values(), [-(applied as f32); 5]);
    // Nothing was sent twice.
    assert_eq!(client.traffic().bytes_pushed.load(Ordering::Relaxed), 300 * 5 * 4);
}

/// The chunks of a push that are there are applied while the others are still computed, and their
/// weights come back.
#[tokio::test]
async fn a_push_leaves_while_its_gradient_is_computed() {
    const ELEMENTS: usize = 3 * CHUNK_ELEMENTS_MAX;
    let server = Server::start(0).await.unwrap();
    let tensors = ["a", "b"].map(|name| TensorSpec::trainable(name, [ELEMENTS]));
    let (client, model) = (server.client(1, Wire::default()), model_of(tensors.into()));
    client.init(&model, vec![0.0; 2 * ELEMENTS]).await.unwrap();
    let layout = Arc::new(model.layout.clone());
    let mut weights = Weights::new(&model);
    let gradient = Gradient::begin(layout, vec![Coverage::Whole, Coverage::Whole], 0.0);
    gradient.fill(1, vec![2.0; ELEMENTS]);
    let filling = async {
        let applied = async || {
            let held = client.describe().await.unwrap().remove(0);
            held.counters.unwrap().chunks_applied
        };
        while applied().await < 3 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        gradient.fill(0, vec![1.0; ELEMENTS]);
    };
    let push = client.push_pull(&gradient, 1.0, &mut weights);
    let both = async { tokio::join!(push, filling).0 };
    let report = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap().unwrap();
    assert_eq!((report.chunks_refused, weights.clock()), (0, 1));
    let (a, b) = weights.values().split_at(ELEMENTS);
    assert!(a.iter().all(|value| *value == -1.0) && b.iter().all(|value| *value == -2.0));
}

/// What a model changes itself is written over, whatever the optimizer, beside the push of its
/// gradients.
#[tokio::test]
async fn state_tensors_are_pushed_beside_the_gradient_whatever_the_encoding() {
    let server = Server::start(0).await.unwrap();
    let wire = Wire { push: Encoding::Int8, ..Wire::default() };
    let state =
        TensorSpec { kind: TensorKind::State, ..TensorSpec::trainable("a.running_mean", [3]) };
    let (client, model) =
        (server.client(1, wire), model_of(vec![state, TensorSpec::trainable("w", [2])]));
    client.init(&model, &[0.0; 5]).await.unwrap();
    let layout = Arc::new(model.layout.clone());
    let mut weights = Weights::new(&model);
    // Numbers that int8 would round.
    let values = vec![1.0, 1.0, 1000.1, 0.3, -7.0];
    let gradient = Gradient::new(layout.clone(), values, vec![true, true], 0.0);
    client.push_pull(&gradient, 1.0, &mut weights).await.unwrap();
    client.push(&gradient, 1.0, &weights).await.unwrap();
    client.read(&mut weights).await.unwrap();
    assert_eq!(weights.values()[2..], [1000.1, 0.3, -7.0], "the last one wins, exactly");
    assert!((weights.values()[0] + 2.0).abs() < 0.02, "{:?}", weights.values());
    // A step without state leaves it alone, and its clock goes on.
    let gradient = Gradient::new(layout, vec![1.0; 5], vec![true, false], 0.0);
    client.push_pull(&gradient, 1.0, &mut weights).await.unwrap();
    client.read(&mut weights).await.unwrap();
    assert_eq!(weights.values()[2..], [1000.1, 0.3, -7.0]);
}

#[tokio::test]
async fn many_pushes_share_a_call_and_are_each_applied_once() {
    let server = Server::start(0).await.unwrap();
    server.init().await.unwrap();
    let refused = push(3, &[f32::NAN, 0.0, 0.0, 0.0, 0.0]);
    let mut pushes: Vec<_> = (0..3).map(|seq| push(seq, &[1.0; 5])).collect();
    pushes.extend([refused, push(1, &[1.0; 5]), push(4, &[1.0; 5])]);
    // Whoever is fenced ends the call, after the answer for what came before.
    let mut old = push(5, &[1.0; 5]);
    old.header.as_mut().unwrap().id.as_mut().unwrap().incarnation = 4;
    pushes.push(old);
    pushes.push(push(6, &[1.0; 5]));
    // What a retry may still name, so that the repeated push is met again and not stale.
    for push in &mut pushes {
        push.header.as_mut().unwrap().oldest_unacknowledged_seq = 0;
    }
    let mut replies =
        server.data().push_many(tokio_stream::iter(pushes)).await.unwrap().into_inner();
    let (answers, status) = answers(&mut replies).await;
    assert_eq!(status.unwrap().code(), Code::FailedPrecondition);
    let applied: Vec<u64> = answers.iter().map(|answer| answer.applied).collect();
    assert_eq!(applied.last(), Some(&6), "{applied:?}");
    assert!(applied.is_sorted());
    let particular: Vec<_> = answers.into_iter().flat_map(|answer| answer.particular).collect();
    let refused = particular.iter().find(|answer| answer.seq == 3).unwrap().reply.clone().unwrap();
    assert_eq!(refused.refused[0].reason(), Refused::NonFiniteGradient);
    let again = particular
        .iter()
        .find(|answer| answer.seq == 1 && answer.reply.as_ref().unwrap().duplicate);
    assert!(again.is_some(), "{particular:?}");
    assert_eq!(server.weights().await.unwrap(), [-4.0; 5]);
}

/// The server went round for ever when a call ended before its last pushes were answered.
#[tokio::test]
async fn regression_a_call_that_ends_is_told_its_last_pushes() {
    let server = Server::start(0).await.unwrap();
    server.init().await.unwrap();
    let pushes: Vec<_> = (0..10).map(|seq| push(seq, &[1.0; 5])).collect();
    let mut replies =
        server.data().push_many(tokio_stream::iter(pushes)).await.unwrap().into_inner();
    let (answers, status) = answers(&mut replies).await;
    assert!(status.is_none(), "{status:?}");
    assert_eq!(answers.last().unwrap().applied, 10);
}

async fn answers(
    replies: &mut Streaming<v1::PushManyReply>,
) -> (Vec<v1::PushManyReply>, Option<tonic::Status>) {
    let mut answers = Vec::new();
    loop {
        match replies.message().await {
            Ok(Some(answer)) => answers.push(answer),
            Ok(None) => return (answers, None),
            Err(status) => return (answers, Some(status)),
        }
    }
}

/// Large chunks are sent from where they lie, while pushes go on changing them.
#[tokio::test]
async fn weights_under_way_are_those_of_the_version_that_they_say() {
    let (server, model) = server(Bounds::default(), LARGE).await;
    let mut weights = server.data().pull(pull()).await.unwrap().into_inner();
    let mut versions = std::collections::BTreeSet::new();
    let (mut elements, mut seq) = (0, 0);
    while let Some(part) = weights.message().await.unwrap() {
        for chunk in part.chunks {
            let expected = bytes(&vec![0.0 - chunk.version as f32; chunk.values.len() / 4]);
            assert_eq!(
                chunk.values, expected,
                "chunk {} of version {}",
                chunk.index, chunk.version
            );
            elements += chunk.values.len() / 4;
            versions.insert(chunk.version);
        }
        if seq < 3 {
            // What is under way by now was there before.
            server.push(large_push(&model, seq)).await.unwrap();
            seq += 1;
        }
    }
    assert_eq!(elements, LARGE);
    assert!(versions.len() > 1, "{versions:?}");
}

#[tokio::test]
async fn a_caller_that_does_not_read_loses_its_connection_and_nobody_else_does() {
    let bounds = Bounds { unread: Duration::from_millis(300), ..Bounds::default() };
    let (server, model) = server(bounds, LARGE).await;
    let mut unread = server.data().pull(pull()).await.unwrap().into_inner();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    // Others go on meanwhile and after.
    server.push(large_push(&model, 0)).await.unwrap();
    assert_eq!(server.weights().await.unwrap().len(), LARGE);
    let mut elements = 0;
    let cut = loop {
        match unread.message().await {
            Ok(Some(part)) => {
                elements += part.chunks.iter().map(|c| c.values.len() / 4).sum::<usize>()
            }
            Ok(None) => panic!("all {elements} of {LARGE} elements came"),
            Err(status) => break status,
        }
    };
    assert_ne!(cut.code(), Code::Ok);
    assert!(elements < LARGE);
}

#[tokio::test]
async fn connections_are_counted_and_their_places_come_back() {
    let bounds = Bounds { connections: 2, ..Bounds::default() };
    let server = Server::start_bounded(0, bounds).await.unwrap();
    let describe = || async {
        let mut client = server.data();
        let request = v1::DescribeRequest { job: JOB.into(), protocol: PROTOCOL };
        (client.describe(request).await.map(|_| ()), client)
    };
    let (first, kept) = describe().await;
    let (second, _also_kept) = describe().await;
    first.and(second).unwrap();
    assert!(describe().await.0.is_err());
    drop(kept);
    // The server hears of the closed connection in its own time.
    for _ in 0..100 {
        if describe().await.0.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a closed connection keeps its place");
}
