//! Guarantee 3: a stale epoch or incarnation never changes a weight.

use futures_util::future::try_join_all;
use ps_client::{Gradient, Weights};
use ps_core::TensorSpec;
use ps_core::settings::Wire;
use ps_proto::convert::refusal::{self, Reason};
use ps_proto::{PROTOCOL, v1};
use ps_tests::loopback::{JOB, Server, bytes, model, model_of, push};
use std::sync::Arc;
use tonic::Status;

fn reason(refused: Result<v1::PushReply, Status>) -> Reason {
    let status = refused.unwrap_err();
    refusal::from_status(&status).unwrap_or_else(|| panic!("{status:?}")).reason()
}

fn membership(epoch: u64, revision: u64, incarnation: u64) -> v1::MembershipRequest {
    let worker =
        v1::Member { worker: 0, incarnation, active: true, holds_nobody: false, start_clock: 0 };
    v1::MembershipRequest {
        job: JOB.into(),
        epoch,
        revision,
        workers: vec![worker],
        ..Default::default()
    }
}

#[tokio::test]
async fn a_superseded_incarnation_changes_nothing() {
    let server = Server::start(0).await.unwrap();
    server.init().await.unwrap();
    server.push(vec![push(0, &[1.0; 5])]).await.unwrap();
    server.control().set_membership(membership(0, 1, 6)).await.unwrap();
    assert_eq!(reason(server.push(vec![push(1, &[1.0; 5])]).await), Reason::StaleIncarnation);
    assert_eq!(server.weights().await.unwrap(), [-1.0; 5]);
}

#[tokio::test]
async fn an_older_epoch_changes_nothing_and_is_told_the_current_one() {
    let server = Server::start(0).await.unwrap();
    server.init().await.unwrap();
    server.push(vec![push(0, &[1.0; 5])]).await.unwrap();
    server.control().set_membership(membership(7, 1, 5)).await.unwrap();
    let refused = server.push(vec![push(1, &[1.0; 5])]).await.unwrap_err();
    let detail = refusal::from_status(&refused).unwrap();
    assert_eq!((detail.reason(), detail.current_epoch), (Reason::StaleEpoch, 7));
    assert_eq!(server.weights().await.unwrap(), [-1.0; 5]);
    let older = server.control().set_membership(membership(6, 9, 99)).await.unwrap_err();
    assert_eq!(refusal::from_status(&older).unwrap().reason(), Reason::StaleEpoch);
}

#[tokio::test]
async fn lost_and_reordered_memberships_are_harmless() {
    let server = Server::start(0).await.unwrap();
    server.init().await.unwrap();
    server.control().set_membership(membership(1, 5, 6)).await.unwrap();
    server.control().set_membership(membership(1, 4, 5)).await.unwrap();
    let mut late = push(0, &[1.0; 5]);
    late.header.as_mut().unwrap().epoch = 1;
    assert_eq!(reason(server.push(vec![late]).await), Reason::StaleIncarnation);
    assert_eq!(server.weights().await.unwrap(), [0.0; 5]);
}

/// The client adopts the epoch that a refusal names and sends the same push again.
#[tokio::test]
async fn a_client_goes_on_in_the_new_epoch_without_losing_or_doubling_its_push() {
    let server = Server::start(0).await.unwrap();
    server.init().await.unwrap();
    let client = server.client(5, Wire::default());
    let mut weights = Weights::new(&model());
    let gradient = |value: f32| {
        let layout = Arc::new(model().layout);
        Gradient::new(layout, vec![value; 5], vec![true, true], 0.0)
    };
    client.pull(0, &mut weights).await.unwrap();
    client.push_pull(&gradient(1.0), 1.0, &mut weights).await.unwrap();
    server.control().set_membership(membership(9, 1, 5)).await.unwrap();
    client.push_pull(&gradient(2.0), 1.0, &mut weights).await.unwrap();
    assert_eq!(weights.values(), [-3.0; 5]);
    assert_eq!(client.epoch(), 9);
}

/// Found by the simulation: of calls that were refused in the same old epoch only the first went on, because
/// to the others the epoch that they were told was no news.
#[tokio::test]
async fn regression_all_calls_of_an_older_epoch_go_on_in_the_new_one() {
    let server = Server::start(0).await.unwrap();
    server.init().await.unwrap();
    let client = server.client(5, Wire::default());
    let mut weights = Weights::new(&model());
    client.pull(0, &mut weights).await.unwrap();
    server.control().set_membership(membership(9, 1, 5)).await.unwrap();
    let gradient = Gradient::new(Arc::new(model().layout), vec![1.0; 5], vec![true, true], 0.0);
    let pushes = (0..8).map(|_| client.push(&gradient, 1.0, &weights));
    try_join_all(pushes).await.unwrap();
    assert_eq!(server.weights().await.unwrap(), [-8.0; 5]);
}

/// A push torn by its worker's death stays on the chunks that it reached, once, and is counted; its
/// retry, should one still arrive, changes nothing.
#[tokio::test]
async fn a_torn_push_stays_torn_and_is_counted() {
    const CHUNK: usize = 50_000;
    let server = Server::start(0).await.unwrap();
    let model = model_of(vec![TensorSpec::trainable("a", [2 * CHUNK])]);
    let model = model.on_grid(Some(CHUNK as u32));
    assert_eq!(model.partition().chunks(0).len(), 2);
    server.init_model(&model).await.unwrap();
    let mut half = push(0, &[1.0; CHUNK]);
    half.header.as_mut().unwrap().chunks_total = 2;
    let unfinished = server.push(vec![half.clone()]).await.unwrap_err();
    assert_eq!(unfinished.code(), tonic::Code::Aborted);
    server.control().set_membership(membership(0, 1, 6)).await.unwrap();
    half.chunks.push(v1::ChunkPayload {
        index: 1,
        values: bytes(&[1.0; CHUNK]),
        ..v1::ChunkPayload::default()
    });
    assert_eq!(reason(server.push(vec![half]).await), Reason::StaleIncarnation);
    let weights = server.weights().await.unwrap();
    assert!(weights[..CHUNK].iter().all(|weight| *weight == -1.0));
    assert!(weights[CHUNK..].iter().all(|weight| *weight == 0.0));
    let request = v1::DescribeRequest { job: JOB.into(), protocol: PROTOCOL };
    let counters = server.data().describe(request).await.unwrap().into_inner().counters.unwrap();
    assert_eq!((counters.pushes_torn, counters.pushes_applied), (1, 0));
}

/// A retry of an unfinished push applies only the chunks that are missing.
#[tokio::test]
async fn a_retry_completes_an_unfinished_push() {
    const CHUNK: usize = 50_000;
    let server = Server::start(0).await.unwrap();
    let model = model_of(vec![TensorSpec::trainable("a", [2 * CHUNK])]);
    server.init_model(&model.on_grid(Some(CHUNK as u32))).await.unwrap();
    let mut whole = push(0, &[1.0; CHUNK]);
    whole.header.as_mut().unwrap().chunks_total = 2;
    server.push(vec![whole.clone()]).await.unwrap_err();
    let second = v1::ChunkPayload { index: 1, values: bytes(&[1.0; CHUNK]), ..Default::default() };
    whole.chunks.push(second);
    for duplicate in [false, true] {
        let reply = server.push(vec![whole.clone()]).await.unwrap();
        assert_eq!(reply.duplicate, duplicate);
    }
    assert!(server.weights().await.unwrap().iter().all(|weight| *weight == -1.0));
}
