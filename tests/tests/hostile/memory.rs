//! What callers make a process hold: bounded by its limits, not by what they send or claim.

use super::victim::{Victim, cores};
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use prost::Message;
use ps_core::TensorSpec;
use ps_core::limits::{CHUNK_ELEMENTS_MAX, SPANS_PER_CHUNK_MAX};
use ps_proto::{PROTOCOL, bulk, v1};
use ps_tests::loopback::{JOB, Server, model_of, push};
use std::time::Duration;
use tower::ServiceExt as _;

/// How long callers that stop in the middle stay.
const STAY: Duration = Duration::from_secs(3);

/// A message with its prefix.
fn framed(message: &impl Message) -> Vec<Bytes> {
    let bytes = message.encode_to_vec();
    let prefix = [[0].as_slice(), &u32::try_from(bytes.len()).unwrap().to_be_bytes()].concat();
    vec![prefix.into(), bytes.into()]
}

/// All but its last byte.
fn cut_short(message: &impl Message) -> Vec<Bytes> {
    let mut pieces = framed(message);
    if let Some(last) = pieces.last_mut() {
        last.truncate(last.len() - 1);
    }
    pieces
}

/// Each of these connections makes so many calls at once; those that wait stay for a while.
async fn flood(victim: &Victim, connections: usize, calls: usize, call: Call<'_>) {
    let channels = (0..connections).map(|_| victim.known_channel());
    let channels = join_all(channels).await;
    let all = channels.iter().flat_map(|channel| (0..calls).map(|_| channel.clone()));
    let all = all.map(|channel| async move {
        let request = match call.ends {
            true => bulk::request(call.path, call.pieces.to_vec()),
            false => {
                let pieces = stream::iter([call.pieces.to_vec()]);
                bulk::flowing_request(call.path, pieces.chain(stream::pending()))
            }
        };
        let _ = tokio::time::timeout(STAY, channel.oneshot(request)).await;
    });
    join_all(all).await;
}

#[derive(Clone, Copy)]
struct Call<'a> {
    path: &'static str,
    pieces: &'a [Bytes],
    ends: bool,
}

const MEMBERSHIP: &str = "/ps.v1.ShardControl/SetMembership";

/// 512 calls of 900 KiB that stop before their last byte: 450 MiB.
#[tokio::test]
async fn large_requests_that_stop_in_the_middle_are_few_at_once() {
    let victim = Victim::server();
    let job = "j".repeat(900 << 10);
    let pieces = cut_short(&v1::MembershipRequest { job, ..Default::default() });
    flood(&victim, 8, 64, Call { path: MEMBERSHIP, pieces: &pieces, ends: false }).await;
    // Windows of 8 connections, and what is read at once.
    victim.check(8 * 4 + 8 * 3);
}

/// 512 calls of half a million empty members each, which are 1 MB on the wire and 12 MB decoded.
#[tokio::test]
async fn a_server_decodes_few_large_requests_at_once() {
    let victim = Victim::server();
    let workers = vec![v1::Member::default(); 500_000];
    let pieces = framed(&v1::MembershipRequest { workers, ..Default::default() });
    flood(&victim, 8, 64, Call { path: MEMBERSHIP, pieces: &pieces, ends: true }).await;
    victim.check(8 * 4 + 8 * 3 + 64);
}

/// The largest restores, of empty tensors: one is 90 MB decoded, and a list that grows has twice that and more.
#[tokio::test]
async fn a_server_decodes_one_large_restore_at_once() {
    let victim = Victim::server();
    let tensors = vec![v1::Tensor::default(); 1_500_000];
    let model = Some(v1::ModelSpec { tensors, ..Default::default() });
    let pieces = framed(&v1::RestoreRequest { model, ..Default::default() });
    let path = "/ps.v1.ShardControl/Restore";
    flood(&victim, 8, 8, Call { path, pieces: &pieces, ends: true }).await;
    // Twice what is read, as it grows.
    victim.check(8 * 4 + 2 * 8 * 3 + 192 * cores());
}

/// The same with heartbeats, which wait for the master's one task.
#[tokio::test]
async fn a_master_decodes_few_large_requests_at_once() {
    let out = tempfile::tempdir().unwrap();
    let out = format!("--out={}", out.path().display());
    let victim = Victim::start(&["ps-master", "--servers=1", "--workers=1", &out]);
    // As large as a request to the master may be.
    let staleness = vec![v1::StalenessCount::default(); 120_000];
    let counters = Some(v1::WorkerCounters { staleness, ..Default::default() });
    let pieces = framed(&v1::HeartbeatRequest { counters, ..Default::default() });
    let path = "/ps.v1.Master/Heartbeat";
    flood(&victim, 8, 64, Call { path, pieces: &pieces, ends: true }).await;
    victim.check(8 * 4 + 8 * 3 + 64);
}

/// 256 starts whose headers are empty tensors.
#[tokio::test]
async fn starts_of_empty_tensors_are_not_decoded() {
    let victim = Victim::server();
    let tensors = vec![v1::Tensor::default(); 1_000_000];
    let model = Some(v1::ModelSpec { tensors, ..Default::default() });
    let header =
        v1::InitHeader { job: JOB.into(), protocol: PROTOCOL, model, ..Default::default() };
    let pieces = framed(&v1::InitMessage { header: Some(header), chunks: Vec::new() });
    flood(&victim, 8, 32, Call { path: bulk::INIT, pieces: &pieces, ends: true }).await;
    victim.check(8 * 4 + 4 * 3);
}

/// 512 pushes whose chunks are many empty spans, and nothing after them.
#[tokio::test]
async fn spans_take_a_buffer() {
    let victim = Victim::server();
    let elements = CHUNK_ELEMENTS_MAX;
    let server = Server::at(&victim.address);
    server.init_model(&model_of(vec![TensorSpec::trainable("a", [elements])])).await.unwrap();
    let spans = vec![v1::Span::default(); SPANS_PER_CHUNK_MAX - 1];
    let mut message = push(0, &[1.0]);
    message.chunks[0].spans = spans;
    let pieces = cut_short(&message);
    flood(&victim, 8, 64, Call { path: bulk::PUSH, pieces: &pieces, ends: false }).await;
    // Half of the buffers are for pushes; the spans of a chunk may take twice what its buffer does, and
    // twice that while the list grows.
    victim.check(8 * 4 + 16 + 4 * 16);
}
