//! What arrives on the wire and should not: a typed answer to the caller, and the server goes on.

#![allow(clippy::unwrap_used)] // The helpers are tests, too.

mod connections;
mod memory;
mod victim;

use bytes::Bytes;
use prost::Message as _;
use ps_core::limits::MESSAGE_BYTES_MAX;
use ps_proto::bulk;
use ps_proto::convert::refusal::{self, Reason};
use ps_proto::v1::refused_chunk::Reason as Refused;
use ps_proto::{PROTOCOL, v1};
use ps_tests::loopback::{JOB, Server, bytes, model, push};
use tonic::Code;
use tower::ServiceExt as _;

async fn server() -> Server {
    let server = Server::start(0).await.unwrap();
    server.init().await.unwrap();
    server
}

/// The server still takes a good push, and nothing else was applied.
async fn goes_on(server: &Server, seq: u64) {
    server.push(vec![push(seq, &[1.0; 5])]).await.unwrap();
    assert_eq!(server.weights().await.unwrap(), [-1.0; 5]);
}

#[tokio::test]
async fn nan_and_infinity_are_refused_remembered_and_named() {
    let server = server().await;
    for (seq, bad) in [(0, f32::NAN), (1, f32::INFINITY), (2, f32::NEG_INFINITY)] {
        for duplicate in [false, true] {
            let reply = server.push(vec![push(seq, &[1.0, bad, 1.0, 1.0, 1.0])]).await.unwrap();
            assert_eq!(reply.refused.len(), 1);
            assert_eq!(reply.refused[0].reason(), Refused::NonFiniteGradient);
            assert_eq!(reply.duplicate, duplicate);
        }
    }
    let huge = [f32::MAX, 0.0, 0.0, 0.0, 0.0];
    assert!(server.push(vec![push(3, &huge)]).await.unwrap().refused.is_empty());
    let reply = server.push(vec![push(4, &huge)]).await.unwrap();
    assert_eq!(reply.refused[0].reason(), Refused::NonFiniteResult);
}

#[tokio::test]
async fn a_message_over_the_limit_gets_a_typed_answer() {
    let server = server().await;
    let mut message = push(0, &[]);
    message.chunks[0].values = vec![0; MESSAGE_BYTES_MAX + 1].into();
    let status = server.push(vec![message]).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    goes_on(&server, 0).await;
}

/// Bytes of a gRPC message with this prefix, as no library of ours would send them.
async fn push_bytes(server: &Server, compressed: u8, length: usize, bytes: &[u8]) -> Code {
    let prefix = [[compressed].as_slice(), &u32::try_from(length).unwrap().to_be_bytes()].concat();
    let frames = vec![Bytes::from(prefix), Bytes::copy_from_slice(bytes)];
    let request = bulk::request(bulk::PUSH, frames);
    let response = server.channel().oneshot(request).await.unwrap();
    let read = async move {
        let mut answer = bulk::MessageReader::of_response(response, MESSAGE_BYTES_MAX)?;
        answer.only_message::<v1::PushReply>().await
    };
    read.await.unwrap_err().code()
}

#[tokio::test]
async fn what_is_no_message_gets_a_typed_answer() {
    let server = server().await;
    let good = push(0, &[1.0; 5]).encode_to_vec();
    let all = good.len();
    assert_eq!(push_bytes(&server, 1, all, &good).await, Code::Internal, "compressed");
    assert_eq!(push_bytes(&server, 0, MESSAGE_BYTES_MAX + 1, &[]).await, Code::OutOfRange);
    assert_eq!(
        push_bytes(&server, 0, all - 1, &good[..all - 1]).await,
        Code::Internal,
        "bad length"
    );
    assert_eq!(push_bytes(&server, 0, 3, &[0xff; 3]).await, Code::Internal, "no field");
    let header = v1::PushHeader { job: "j".repeat(5000), ..v1::PushHeader::default() };
    let message = v1::PushMessage { header: Some(header), chunks: vec![] }.encode_to_vec();
    assert_eq!(push_bytes(&server, 0, message.len(), &message).await, Code::InvalidArgument);
    goes_on(&server, 0).await;
}

/// Chunks that came before a message turned out to be malformed are applied, and only once.
#[tokio::test]
async fn a_push_that_breaks_off_within_a_message_is_completed_by_its_retry() {
    let server = server().await;
    let good = push(0, &[1.0; 5]).encode_to_vec();
    let cut = push_bytes(&server, 0, good.len() + 1, &good).await;
    assert_eq!(cut, Code::Internal);
    goes_on(&server, 0).await;
}

#[tokio::test]
async fn chunks_and_spans_outside_their_range_are_refused() {
    let server = server().await;
    let mut outside = push(0, &[1.0; 5]);
    outside.chunks[0].index = 1;
    let mut long = push(0, &[1.0; 6]);
    long.chunks[0].index = 0;
    let mut span = push(0, &[1.0; 2]);
    span.chunks[0].spans = vec![v1::Span { start: 4, len: 2 }];
    let mut overlap = push(0, &[1.0; 4]);
    overlap.chunks[0].spans = vec![v1::Span { start: 0, len: 2 }, v1::Span { start: 1, len: 2 }];
    let mut many = push(0, &[1.0; 5]);
    many.header.as_mut().unwrap().chunks_total = 2;
    let mut future = push(0, &[1.0; 5]);
    future.chunks[0].pulled_version = 1;
    for message in [outside, long, span, overlap, many, future] {
        let status = server.push(vec![message.clone()]).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{message:?}: {status:?}");
    }
    goes_on(&server, 0).await;
}

#[tokio::test]
async fn a_push_without_header_or_without_its_chunks_is_not_acknowledged() {
    let server = server().await;
    let headless = v1::PushMessage { header: None, ..push(0, &[1.0; 5]) };
    assert_eq!(server.push(vec![headless]).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(server.push(vec![]).await.unwrap_err().code(), Code::InvalidArgument);
    let empty = v1::PushMessage { chunks: vec![], ..push(0, &[]) };
    assert_eq!(server.push(vec![empty]).await.unwrap_err().code(), Code::Aborted);
    goes_on(&server, 0).await;
}

#[tokio::test]
async fn another_job_or_shard_is_refused_by_name() {
    let server = server().await;
    let mut other_job = push(0, &[1.0; 5]);
    other_job.header.as_mut().unwrap().job = "another".into();
    let mut other_shard = push(0, &[1.0; 5]);
    other_shard.header.as_mut().unwrap().shard = 3;
    for (message, reason) in [(other_job, Reason::OtherJob), (other_shard, Reason::OtherShard)] {
        let status = server.push(vec![message]).await.unwrap_err();
        assert_eq!(refusal::from_status(&status).unwrap().reason(), reason);
    }
    goes_on(&server, 0).await;
}

#[tokio::test]
async fn another_model_is_refused_by_tensor() {
    let server = server().await;
    let mut spec = v1::ModelSpec::from(&model());
    spec.tensors[1].shape = vec![4];
    let header = v1::InitHeader {
        job: JOB.into(),
        protocol: PROTOCOL,
        model: Some(spec),
        ..v1::InitHeader::default()
    };
    let status = server.send_start(header, Vec::new()).await.unwrap_err();
    assert_eq!(refusal::from_status(&status).unwrap().reason(), Reason::OtherModel);
    assert!(status.message().contains("`b`"), "{}", status.message());
}

/// Each empty field is two bytes on the wire and many in memory: nothing of them is decoded.
#[tokio::test]
async fn a_start_of_empty_fields_is_refused_before_it_is_decoded() {
    let server = Server::start(0).await.unwrap();
    let header = |tensors: usize| {
        let spec = v1::ModelSpec::from(&model());
        let model = Some(v1::ModelSpec { tensors: vec![v1::Tensor::default(); tensors], ..spec });
        v1::InitHeader { job: JOB.into(), protocol: PROTOCOL, model, ..Default::default() }
    };
    let status = server.send_start(header(1_000_000), Vec::new()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().contains("tensors of the model"), "{}", status.message());
    // More than a header may have in all.
    let status = server.send_start(header(1_900_000), Vec::new()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    // Empty chunks: the first is the last.
    let model = Some((&model()).into());
    let header =
        v1::InitHeader { job: JOB.into(), protocol: PROTOCOL, model, ..Default::default() };
    let chunks = vec![v1::ChunkPayload::default(); 100_000];
    let status = server.send_start(header, chunks).await.unwrap_err();
    assert!(status.message().contains("found chunk 0 with 0 bytes"), "{}", status.message());
    server.init().await.unwrap();
}

#[tokio::test]
async fn an_absent_tensor_is_legal_and_untouched() {
    let server = server().await;
    let mut message = push(0, &[1.0; 2]);
    message.chunks[0].spans = vec![v1::Span { start: 3, len: 2 }];
    assert_eq!(message.chunks[0].values, bytes(&[1.0; 2]));
    server.push(vec![message]).await.unwrap();
    assert_eq!(server.weights().await.unwrap(), [0.0, 0.0, 0.0, -1.0, -1.0]);
}
